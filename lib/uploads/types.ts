/** A media type without its parameters, in lower case; empty where there is none. */
export function mediaType(contentType: string | undefined): string {
  return (contentType ?? '').split(';', 1)[0]!.trim().toLowerCase();
}

/** Whether a media type is one of these, each a whole type or `image/*`. */
export function isAccepted(types: string[], type: string): boolean {
  const received = mediaType(type);
  return types.some((accepted) =>
    accepted.endsWith('/*') ? received.startsWith(accepted.slice(0, -1)) : received === accepted,
  );
}

/** Whether a body of this type is data for the handler (JSON, a plain form) and no file. */
export function isData(type: string): boolean {
  return /^application\/(?:json|x-www-form-urlencoded|[^;]*\+json)$/.test(type);
}
