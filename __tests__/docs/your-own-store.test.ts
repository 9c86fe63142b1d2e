import './snippets/your-own-store.js';
