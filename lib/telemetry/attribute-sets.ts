import type { Attributes } from './meter.js';

const MOST_SETS = 1_000;
const OTHER = 'other';

/**
 * The attributes of an instrument's series: one object for each combination of values, made once, so that recording
 * allocates nothing. A series costs memory here, in the SDK and in what scrapes it as long as the process lives; so
 * once there are a thousand, what would make another one is counted as `other`.
 */
export class AttributeSets {
  readonly #sets = new Map<string, Map<string, Map<string, Attributes>>>();
  #size = 0;

  /**
   * At most three attributes in all.
   *
   * @param words Attributes whose values are words of this package, and so are few.
   * @param names Attributes whose values are names that the host chose.
   */
  constructor(
    private readonly words: readonly string[],
    private readonly names: readonly string[] = [],
  ) {}

  /** The attributes with these values, words first. One whose value is empty is left out. */
  of(first: string, second = '', third = ''): Attributes {
    return this.#sets.get(first)?.get(second)?.get(third) ?? this.#add(first, second, third);
  }

  #add(...values: [string, string, string]): Attributes {
    if (this.#size >= MOST_SETS) {
      const isName = (value: string, i: number): boolean => i >= this.words.length && value !== '';
      const others = values.map((value, i) => (isName(value, i) ? OTHER : value)) as typeof values;
      if (others.some((value, i) => value !== values[i])) return this.of(...others);
    }
    const keys = [...this.words, ...this.names];
    const attributes = Object.fromEntries(
      keys.map((key, i) => [key, values[i]!] as const).filter(([, value]) => value !== ''),
    );
    const [first, second, third] = values;
    const seconds = this.#sets.get(first) ?? new Map<string, Map<string, Attributes>>();
    const thirds = seconds.get(second) ?? new Map<string, Attributes>();
    this.#sets.set(first, seconds.set(second, thirds.set(third, attributes)));
    this.#size += 1;
    return attributes;
  }
}
