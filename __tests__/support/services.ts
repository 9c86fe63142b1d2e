import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

const packages: Record<string, string> = {
  chromium: 'chromium',
  nginx: 'nginx',
  'redis-server': 'redis-server',
};

/**
 * The path of a system program that a test needs. Where it is missing: `undefined`, with a line on the console that
 * says how to get it. With the environment variable REQUIRE_SERVICES=1 it throws instead.
 */
export function requireProgram(name: string): string | undefined {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Looked for in the next folder.
    }
  }
  const message = `${name} is missing, its tests are SKIPPED: apt-get install ${packages[name] ?? name}`;
  if (process.env.REQUIRE_SERVICES === '1') throw new Error(message);
  console.warn(message);
  return undefined;
}
