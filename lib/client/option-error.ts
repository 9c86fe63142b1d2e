/** A wrong option, with the code that the server side's ConfigError has too; that class would not fit in here. */
export const optionError = (
  option: string,
  expected: string,
  received: unknown,
  code: 'CONFIG_INVALID_OPTION' | 'CONFIG_UNKNOWN_OPTION' = 'CONFIG_INVALID_OPTION',
): TypeError & { code: string } =>
  Object.assign(
    new TypeError(`${option}: expected ${expected}, received ${String(received)} (${typeof received})`),
    { code },
  );

/** @throws {TypeError} Unless `value` is a number of at least `min`; `Infinity` is one. */
export function checkNumber(option: string, value: unknown, min = 0): void {
  if (!(typeof value === 'number' && value >= min))
    throw optionError(option, `a number of at least ${min}`, value);
}
