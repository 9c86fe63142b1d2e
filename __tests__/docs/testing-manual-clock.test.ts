import './snippets/testing-manual-clock.js';
