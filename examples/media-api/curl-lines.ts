import type { Plan } from 'express-job-limits';
import type { PlansFile } from './plans-file.js';

/** A command to paste, and what it shows. */
export interface CurlLine {
  shows: string;
  command: string;
}

/**
 * Commands for the plans in force: a creation, a refusal by each kind of limit, results that expire, and where a customer
 * stands.
 */
export function curlLines(url: string, file: PlansFile): CurlLine[] {
  const customers = customersOf(file);
  const most = customers.at(-1);
  if (most === undefined) return [];
  const lines = [{ shows: 'A creation', command: creation(`${url}/assemblies`, most.key) }];
  const { urlCount: { limit: urls = Infinity } = {} } = file.plans[most.plan]!;
  if (urls <= MOST_URLS) {
    lines.push({
      shows: `A refusal by what the body holds: the plan '${most.plan}' allows ${urls} URLs, this sends one more`,
      command: creation(
        `${url}/assemblies`,
        most.key,
        `'"$(printf '"${VIDEO}?%s",' $(seq ${urls}))"'"${VIDEO}"`,
      ),
    });
  }
  const least = customers[0]!;
  if (least.limit < Infinity) {
    const tries = least.limit + 1;
    lines.push({
      shows: `A refusal by the rate: the plan '${least.plan}' allows ${least.limit}, this asks for ${tries}`,
      // curl sends one request for each number.
      command: creation(`${url}/assemblies?n=[1-${tries}]`, least.key),
    });
  }
  const brief = customers.find(({ plan }) => isBrief(file.plans[plan]!));
  if (brief !== undefined) {
    const read = `curl -sSi '${url}/v0/batch/jobs/kept/predictions' -H 'Authorization: Bearer ${brief.key}'`;
    lines.push({
      shows: `Results until they are gone: the plan '${brief.plan}' keeps them for ${resultsOf(file.plans[brief.plan]!)}`,
      command:
        `${creation(`${url}/assemblies/kept`, brief.key)} && ` +
        `until r=$(${read}); printf '%s\\n\\n' "$r"; echo "$r" | grep -q '^HTTP/1.1 410'; do sleep 2; done`,
    });
  }
  lines.push({
    shows: 'What is left of a customer’s limits',
    command: `curl -sSi -w '\\n' ${url}/limits -H 'Authorization: Bearer ${least.key}'`,
  });
  return lines;
}

const VIDEO = 'https://example.com/video.mp4';

/** A list that a command line can hold. */
const MOST_URLS = 1_000;

/** @param urls What the list in the JSON holds, within single quotes of the shell. */
const creation = (url: string, key: string, urls = `"${VIDEO}"`): string =>
  `curl -sSi -w '\\n' '${url}' -H 'Authorization: Bearer ${key}' -H 'Content-Type: application/json' ` +
  `-d '{"urls":[${urls}]}'`;

interface Customer {
  key: string;
  plan: string;
  limit: number;
}

/** Customers whose key can be pasted, the ones with the smallest limit first. */
function customersOf(file: PlansFile): Customer[] {
  const unlisted: [string, string][] = file.default === undefined ? [] : [['anybody', file.default]];
  return [...unlisted, ...Object.entries(file.customers)]
    .filter(([key]) => /^[\w.-]+$/.test(key))
    .map(([key, plan]) => ({ key, plan, limit: limitOf(file.plans[plan]!) }))
    .sort((a, b) => a.limit - b.limit);
}

const resultsOf = ({ jobRetention }: Plan): string => String(jobRetention?.results);

/** Whether results are gone while one watches. */
const isBrief = (plan: Plan): boolean => /^\d\d?s$/.test(resultsOf(plan));

/** How many jobs the plan allows one after the other. */
const limitOf = ({ creationRate = [], concurrency = [] }: Plan): number =>
  Math.min(Infinity, ...[creationRate, concurrency].flat(2).map(({ limit }) => limit));
