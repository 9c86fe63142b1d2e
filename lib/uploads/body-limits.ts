import { count, listOf, optional, size, text, withDefault } from '../options.js';
import type { Size } from '../units.js';

/** How large uploads may be. A plan's `fileSize`. */
export interface FileSizeLimits {
  /** The largest file of a form; also the largest body that is no form, after its `Content-Encoding` was undone. */
  maxFile: Size;
  /** The largest request, as it comes over the wire. @default `maxFile` and 1 MiB */
  maxRequest?: Size;
  /** How many files a form may hold. @default 100 */
  maxFiles?: number;
  /** How many fields a form may hold, and file inputs in which nothing was chosen. @default 1000 */
  maxFields?: number;
  /** How much a form's fields may hold together with their names; they are kept in memory. @default '1mb' */
  maxFieldBytes?: Size;
  /**
   * The media types that files may have, such as `video/mp4` or `image/*`, as their client declares them: of a form's
   * files, and of a body that is neither a form nor JSON. @default any
   */
  types?: string[];
}

/** The checks of a plan's `fileSize`. */
export const fileSizeLimitChecks = {
  maxFile: size,
  maxRequest: optional(size),
  maxFiles: withDefault(count(), 100),
  maxFields: withDefault(count(), 1000),
  maxFieldBytes: withDefault(size, 1024 * 1024),
  types: optional(listOf(text)),
};

export type CheckedFileSizeLimits = {
  [K in keyof typeof fileSizeLimitChecks]: ReturnType<(typeof fileSizeLimitChecks)[K]>;
};

/** How many URLs a job may be given. A plan's `urlCount`. */
export interface UrlCountLimits {
  /** URLs per request. @default none */
  limit?: number;
  /** From this many on a request passes with a `Warning` header. @default 100 where there is no `limit`, else none */
  recommended?: number;
}

/** The checks of a plan's `urlCount`. */
export const urlCountLimitChecks = { limit: optional(count()), recommended: optional(count()) };

export interface CheckedUrlCountLimits {
  limit?: number | undefined;
  recommended?: number | undefined;
}
