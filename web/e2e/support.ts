import { expect, test as base, type Page } from '@playwright/test';

/** A page whose console stays clean: an error or a blocked resource fails the test. */
export const test = base.extend<{ allowed: RegExp[] }>({
  allowed: [[], { option: true }],
  page: async ({ page, allowed }, use) => {
    const errors: string[] = [];
    const note = (text: string): void => {
      if (!allowed.some((pattern) => pattern.test(text))) errors.push(text);
    };
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') note(message.text());
    });
    page.on('pageerror', (error) => note(error.message));
    await use(page);
    expect(errors, 'errors in the console').toEqual([]);
  },
});

export { expect };

export const pages = [
  ['Overview', '/'],
  ['Retention', '/retention'],
  ['Monetization', '/monetization'],
  ['Progression', '/progression'],
  ['Economy', '/economy'],
  ['Players', '/players'],
  ['Experiments', '/experiments'],
  ['Stability', '/stability'],
  ['Live', '/live'],
  ['Explore', '/explore'],
  ['Pipeline', '/pipeline'],
  ['More', '/marts'],
] as const;

/** Opens a page and waits until all of it has its data. */
export async function open(page: Page, path: string): Promise<void> {
  await page.goto(path);
  await expect(page.locator('h1')).toBeVisible();
  await settled(page);
}

export async function settled(page: Page): Promise<void> {
  await expect(page.locator('.page-wait')).toHaveCount(0);
  await expect(page.locator('.skeleton, .tile-skeleton')).toHaveCount(0);
}

interface Answer {
  columns: { name: string }[];
  rows: (string | number | boolean | null)[][];
}

/** Rows of the API, asked beside the page. */
export async function rows(
  page: Page,
  path: string,
): Promise<Record<string, string | number | boolean | null>[]> {
  const response = await page.request.get(`/api/v1${path}`);
  expect(response.ok(), path).toBe(true);
  const answer = (await response.json()) as Answer;
  return answer.rows.map((cells) =>
    Object.fromEntries(answer.columns.map((column, index) => [column.name, cells[index] ?? null])),
  );
}

export interface Days {
  first_day: string;
  last_day: string;
}

export async function days(page: Page): Promise<Days> {
  const response = await page.request.get('/api/v1/filters');
  return (await response.json()) as Days;
}
