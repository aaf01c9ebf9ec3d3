// Answers that come in pages, put together.

import { getJson } from './client';
import { isTable } from './rows';

/** Most pages of one answer: 500,000 rows of a mart are beyond what anybody can look at. */
const mostPages = 10;

/** The answer at an address; if it is the first page of a mart's rows, all of them. */
export async function getWhole(
  url: string,
  get: (url: string) => Promise<unknown> = (each) => getJson(each),
): Promise<unknown> {
  const first = await get(url);
  if (!isTable(first) || !url.includes('/marts/')) return first;
  const rows = [...first.rows];
  let cursor = first.next_cursor ?? null;
  for (let page = 1; cursor !== null && page < mostPages; page += 1) {
    const next = await get(`${url}&cursor=${encodeURIComponent(cursor)}`);
    if (!isTable(next)) break;
    // One push per row: a spread of so many arguments would not fit on the stack.
    for (const row of next.rows) rows.push(row);
    cursor = next.next_cursor ?? null;
  }
  return { ...first, rows, next_cursor: cursor };
}
