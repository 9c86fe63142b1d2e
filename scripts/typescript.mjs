// node --import ./scripts/typescript.mjs FILE.ts: runs TypeScript against the built package, as a user of it would. The
// paths of tsconfig.json, which lead to lib, are for the type checker and the tests.
import { fileURLToPath } from 'node:url';

process.env.TSX_TSCONFIG_PATH = fileURLToPath(new URL('../tsconfig.build.json', import.meta.url));
await import('tsx');
