import { ArchiveRefused } from './refused.js';

type Mode = 'strict' | 'lenient';

/** Linux's PATH_MAX; no unpacker on it can make a longer one. In UTF-16 units, which is near enough. */
const LONGEST_NAME = 4096;

/**
 * Checks an entry's name as a path and brings it to one form: parts with a slash between, none empty or `.`, no slash
 * at the end. The folder itself (`./`) is the empty string.
 *
 * @throws {ArchiveRefused} `ARCHIVE_NAME_INVALID`, `ARCHIVE_PATH_ABSOLUTE` or `ARCHIVE_PATH_TRAVERSAL`.
 */
export function checkName(name: string, mode: Mode): string {
  if (name === '') throw new ArchiveRefused('ARCHIVE_NAME_INVALID', 'an entry has no name', name);
  if (name.length > LONGEST_NAME)
    throw new ArchiveRefused('ARCHIVE_NAME_INVALID', 'an entry has a name that is too long', name);
  if (name.includes('\0'))
    throw new ArchiveRefused('ARCHIVE_NAME_INVALID', 'an entry has a NUL character in its name', name);
  // What a path means must not hang on the system that unpacks it, so all is judged with either slash.
  const slashed = name.includes('\\') ? name.replaceAll('\\', '/') : name;
  if (slashed.startsWith('/') || /^[A-Za-z]:/.test(slashed))
    throw new ArchiveRefused('ARCHIVE_PATH_ABSOLUTE', 'an entry has an absolute path', name);
  if (slashed.includes('..') && slashed.split('/').some(isParent))
    throw new ArchiveRefused(
      'ARCHIVE_PATH_TRAVERSAL',
      'an entry has a path that leads out of the archive',
      name,
    );
  if (slashed !== name && mode === 'strict')
    throw new ArchiveRefused('ARCHIVE_NAME_INVALID', 'an entry has a backslash in its name', name);
  return tidy(slashed);
}

/** Windows drops blanks and dots at the end of a part, so `.. ` and `...` may lead upwards there. */
const isParent = (part: string): boolean => part.startsWith('..') && /^\.\.[. ]*$/.test(part);

function tidy(path: string): string {
  if (!path.startsWith('./') && !path.includes('//') && !path.includes('/.')) {
    if (path === '.') return '';
    return path.endsWith('/') ? path.slice(0, -1) : path;
  }
  return path
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/');
}

/**
 * Checks where a link leads: down from its folder, or up first and then down, but never out of the archive. Every step
 * of such a target is a real folder or another checked link, so it stays inside however it is resolved; a `..` after a
 * name would not (the name may be a link).
 */
export function checkLinkTarget(path: string, target: string): void {
  const parts = target.split('/');
  const ups = parts.findIndex((part) => part !== '..');
  const down = ups === -1 ? [] : parts.slice(ups);
  const depth = path.split('/').length - 1;
  const leaves =
    target === '' ||
    target.startsWith('/') ||
    /[\0\\]|^[A-Za-z]:/.test(target) ||
    (ups === -1 ? parts.length : ups) > depth ||
    down.some(isParent);
  if (leaves) throw new ArchiveRefused('ARCHIVE_LINK', 'a link leads out of the archive', path);
}

export type EntryKind = 'file' | 'folder' | 'link';

/** All paths of one archive; refuses a second entry at the same place, and entries below what is no folder. */
export class NameRegister {
  readonly #kinds = new Map<string, EntryKind>();
  readonly #mode: Mode;

  constructor(mode: Mode) {
    this.#mode = mode;
  }

  /** @param path As `checkName` gives it. */
  add(path: string, kind: EntryKind, name: string): void {
    if (path === '') {
      if (kind === 'folder') return;
      throw new ArchiveRefused(
        'ARCHIVE_NAME_INVALID',
        'an entry that is no folder has the name of one',
        name,
      );
    }
    const key = this.#key(path);
    const known = this.#kinds.get(key);
    // A folder may be named twice, or after what is in it: programs that join archives write that.
    if (known !== undefined && !(known === 'folder' && kind === 'folder')) {
      throw new ArchiveRefused('ARCHIVE_DUPLICATE_NAME', 'two entries have the same name', name);
    }
    this.#kinds.set(key, kind);
    this.#addParents(key, name);
  }

  /** Whether a regular file of this path came before. */
  hasFile(path: string): boolean {
    return this.#kinds.get(this.#key(path)) === 'file';
  }

  #addParents(key: string, name: string): void {
    for (let at = key.lastIndexOf('/'); at > 0; at = key.lastIndexOf('/', at - 1)) {
      const parent = key.slice(0, at);
      const known = this.#kinds.get(parent);
      if (known === 'folder') return;
      if (known === 'file')
        throw new ArchiveRefused('ARCHIVE_DUPLICATE_NAME', 'an entry is below another that is a file', name);
      if (known === 'link') throw new ArchiveRefused('ARCHIVE_LINK', 'an entry is below a link', name);
      this.#kinds.set(parent, 'folder');
    }
  }

  /** Windows and macOS keep one file for names that differ in case or in how an accent is written. */
  #key(path: string): string {
    return this.#mode === 'strict' ? path.normalize('NFC').toLowerCase() : path;
  }
}
