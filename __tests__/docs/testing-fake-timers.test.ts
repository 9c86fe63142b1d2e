import './snippets/testing-fake-timers.js';
