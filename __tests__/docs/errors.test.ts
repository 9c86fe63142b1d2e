import { errorCodes, JobLimitsError } from '../../lib/index.js';
import { anchors, headings, read } from './markdown.js';

const page = read('docs/reference/errors.md');
const codes = headings(page).filter((heading) => /^[A-Z_]+$/.test(heading));

it('has a heading for every code, and a code for every heading', () => {
  expect([...codes].sort()).toEqual([...errorCodes].sort());
});

it('is where the errors say that it is', () => {
  const there = anchors(page);
  for (const code of errorCodes) {
    const [file, anchor] = new JobLimitsError(code, '').docs.split('#');
    expect(file).toBe('express-job-limits/docs/reference/errors.md');
    expect(there).toContain(anchor);
  }
});

it('says of every code what it means and what to do', () => {
  for (const code of errorCodes) {
    const section = page.split(`\n## ${code}\n`)[1]!.split('\n## ')[0]!;
    expect([code, section]).toEqual([
      code,
      expect.stringMatching(/\*\*Where:\*\*[\s\S]*\*\*What to do:\*\*/),
    ]);
  }
});
