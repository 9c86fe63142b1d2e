/** How much of a file's beginning `detectType` looks at: the `ustar` mark of a tar archive is the farthest, at 257. */
export const HEAD_BYTES = 512;

/** A type, and the bytes that tell it, by their offset. */
const signatures: [string, ...[number, string][]][] = [
  ['image/png', [0, '\x89PNG\r\n\x1a\n']],
  ['image/jpeg', [0, '\xff\xd8\xff']],
  ['image/gif', [0, 'GIF8']],
  ['image/webp', [0, 'RIFF'], [8, 'WEBP']],
  ['audio/wav', [0, 'RIFF'], [8, 'WAVE']],
  ['audio/mpeg', [0, 'ID3']],
  ['audio/mpeg', [0, '\xff\xfb']],
  ['audio/flac', [0, 'fLaC']],
  ['audio/ogg', [0, 'OggS']],
  ['video/webm', [0, '\x1a\x45\xdf\xa3']],
  ['video/mp4', [4, 'ftyp']],
  ['application/pdf', [0, '%PDF-']],
  ['application/zip', [0, 'PK\x03\x04']],
  ['application/zip', [0, 'PK\x05\x06']],
  ['application/gzip', [0, '\x1f\x8b']],
  ['application/x-bzip2', [0, 'BZh']],
  ['application/x-xz', [0, '\xfd7zXZ\0']],
  ['application/x-tar', [257, 'ustar']],
];

/** What a file is by its first bytes, whatever its name and its client say. */
export function detectType(head: Buffer): string {
  const text = head.toString('latin1');
  for (const [type, ...marks] of signatures) {
    if (marks.every(([offset, mark]) => text.startsWith(mark, offset))) return type;
  }
  return isText(head) ? 'text/plain' : 'application/octet-stream';
}

function isText(head: Buffer): boolean {
  if (head.length === 0 || head.includes(0)) return false;
  try {
    // As a stream, so that a character that the end of the head cuts in two is none the worse for it.
    new TextDecoder('utf-8', { fatal: true }).decode(head, { stream: true });
    return true;
  } catch {
    return false;
  }
}
