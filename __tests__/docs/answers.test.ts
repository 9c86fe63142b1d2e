import { STATUS_CODES } from 'node:http';
import { answers, type Answered } from './answers.js';
import { pages, read, shownAnswers } from './markdown.js';

/** Each is given once, on however many pages it is shown. */
const given = new Map<string, Promise<Answered>>();
function give(name: string): Promise<Answered> {
  let answer = given.get(name);
  if (answer === undefined) given.set(name, (answer = answers[name]!()));
  return answer;
}

const shown = pages.flatMap((page) => shownAnswers(read(page)).map((answer) => ({ page, ...answer })));

it('shows no answer that nothing gives, and leaves none out', () => {
  expect(shown.filter(({ name }) => name === undefined)).toEqual([]);
  expect([...new Set(shown.map(({ name }) => name))].sort()).toEqual(Object.keys(answers).sort());
});

it.each(shown)('$page shows the answer "$name" as it is', async ({ name, text }) => {
  const real = await give(name!);
  const [head, body = ''] = text.split('\n\n');
  const [statusLine, ...headerLines] = head!.trim().split('\n');
  expect(statusLine).toBe(`HTTP/1.1 ${real.status} ${STATUS_CODES[real.status]}`);
  for (const line of headerLines) {
    const [header, ...value] = line.split(': ');
    expect([header, (real.headers as Record<string, string>)[header!.toLowerCase()]]).toEqual([
      header,
      value.join(': '),
    ]);
  }
  if (body.trim() === '') expect(real.text).toBe('');
  else expect(JSON.parse(body)).toEqual(JSON.parse(real.text));
});
