import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Debian's packages of the programs that tests use. */
const packages: Record<string, string> = {
  nginx: 'nginx-light',
  chromium: 'chromium',
  curl: 'curl',
  'redis-server': 'redis-server',
};

/**
 * Where a program is, or `undefined` where it isn't installed: the tests that need it are then skipped with a line that
 * says so, unless REQUIRE_SERVICES=1 makes that an error.
 */
export function requireProgram(name: string): string | undefined {
  const directories = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  for (const directory of directories) {
    const path = join(directory, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not here.
    }
  }
  const message = `${name} is missing (apt-get install ${packages[name] ?? name})`;
  if (process.env['REQUIRE_SERVICES'] === '1') throw new Error(message);
  process.stderr.write(`\nSKIPPING TESTS: ${message}\n`);
  return undefined;
}
