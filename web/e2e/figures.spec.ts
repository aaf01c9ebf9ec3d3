import { readFile } from 'node:fs/promises';
import { days, expect, open, rows, settled, test } from './support';

const whole = (value: unknown): string => new Intl.NumberFormat('en-US').format(Number(value));

test('the tiles show the API’s figures of the last day', async ({ page }) => {
  const { last_day: last } = await days(page);
  const [day] = await rows(page, `/marts/mart_daily_kpi?from=${last}&to=${last}`);
  await open(page, '/');
  await expect(page.locator('[data-figure=dau] .tile-value')).toHaveText(whole(day?.dau));
  await expect(page.locator('[data-figure=sessions] .tile-value')).toHaveText(whole(day?.sessions));
  const weekAgo = new Date(Date.parse(last) - 7 * 86_400_000).toISOString().slice(0, 10);
  const [before] = await rows(page, `/marts/mart_daily_kpi?from=${weekAgo}&to=${weekAgo}`);
  await expect(page.locator('[data-figure=dau]')).toContainText(`vs ${whole(before?.dau)} last`);
});

test('filters change the figures and stand in the address, on all pages', async ({ page }) => {
  const { last_day: last } = await days(page);
  const [ios] = await rows(page, `/marts/mart_daily_kpi?from=${last}&to=${last}&platform=ios`);
  await open(page, '/');
  await page.getByRole('combobox', { name: 'Platform', exact: true }).selectOption('ios');
  await page.getByRole('button', { name: '7 days' }).click();
  await settled(page);
  await expect(page).toHaveURL(/platform=ios/);
  await expect(page).toHaveURL(/range=7d/);
  await expect(page.locator('[data-figure=dau] .tile-value')).toHaveText(whole(ios?.dau));
  await page.getByRole('link', { name: 'Monetization' }).first().click();
  await expect(page.locator('h1')).toHaveText('Monetization');
  await expect(page.getByRole('combobox', { name: 'Platform', exact: true })).toHaveValue('ios');
  await page.goBack();
  await expect(page.locator('h1')).toHaveText('Overview');
  await page.getByRole('button', { name: 'Clear' }).click();
  await expect(page).not.toHaveURL(/platform/);
});

test('a chart shows its numbers as a table, and the CSV has the same', async ({ page }) => {
  await open(page, '/');
  const card = page.locator('[data-card=sessions]');
  await card.getByRole('button', { name: /as a table/ }).click();
  const cells = card.locator('tbody tr').first().locator('td');
  const shown = await cells.nth(1).textContent();
  const [file] = await Promise.all([
    page.waitForEvent('download'),
    card.getByRole('button', { name: /as CSV/ }).click(),
  ]);
  const lines = (await readFile(await file.path(), 'utf8')).trim().split('\r\n');
  expect(lines[0]).toBe('date,sessions');
  expect(whole(lines[1]?.split(',')[1])).toBe(shown);
});

test('definitions show on hover and focus, and go with Escape', async ({ page }) => {
  await open(page, '/');
  const button = page.locator('[data-card=active-players]').getByRole('button', { name: /^What / });
  await button.focus();
  const tip = page.locator('[data-card=active-players] .card-tools [role=tooltip]');
  await expect(tip).toBeVisible();
  await expect(tip).toContainText('Distinct players');
  await page.keyboard.press('Escape');
  await expect(tip).toBeHidden();
});

test('retention of day 1 is that of all cohorts together', async ({ page }) => {
  await open(page, '/retention?range=all');
  const cells = (await rows(page, '/marts/mart_retention?limit=50000')).filter(
    (row) => row.day_n === 1,
  );
  const sum = (column: string): number =>
    cells.reduce((total, row) => total + Number(row[column]), 0);
  const share = new Intl.NumberFormat('en-US', {
    style: 'percent',
    minimumFractionDigits: 1,
    maximumFractionDigits: 1,
  });
  await expect(page.locator('[data-figure=d1] .tile-value')).toHaveText(
    share.format(sum('active_players') / sum('cohort_size')),
  );
});

test('days that are not over are marked', async ({ page }) => {
  const { last_day: last } = await days(page);
  await page.route('**/api/v1/filters', async (route) => {
    const response = await route.fetch();
    const body = (await response.json()) as object;
    await route.fulfill({ response, json: { ...body, data_through: `${last}T12:00:00Z` } });
  });
  await open(page, '/');
  await expect(page.getByText('Today so far').first()).toBeVisible();
});

test('every mart of the project is drawn under More', async ({ page }) => {
  const response = await page.request.get('/api/v1/marts');
  const { marts } = (await response.json()) as { marts: { name: string }[] };
  await open(page, '/marts');
  for (const { name } of marts) await expect(page.locator(`[data-card=${name}]`)).toBeVisible();
});

test('a strange mart gets its place and a chart from its header', async ({ page }) => {
  await page.route('**/api/v1/marts', async (route) => {
    const response = await route.fetch();
    const body = (await response.json()) as { marts: object[] };
    const strange = {
      name: 'harvest',
      title: 'Harvest of each field',
      description: 'What grows where.',
      key: ['field'],
      partition: null,
      chart: { kind: 'bar', x: 'field', y: ['tons'], value: null, inferred: false },
      columns: [
        { name: 'field', type: 'text', description: 'The field.', role: 'key' },
        { name: 'tons', type: 'double', description: 'Tons of corn.', role: 'measure' },
      ],
    };
    await route.fulfill({ response, json: { ...body, marts: [...body.marts, strange] } });
  });
  await page.route('**/api/v1/marts/harvest**', (route) =>
    route.fulfill({
      json: {
        columns: [
          { name: 'field', type: 'text', description: 'The field.' },
          { name: 'tons', type: 'double', description: 'Tons of corn.' },
        ],
        rows: [
          ['north', 12.5],
          ['south', 7],
        ],
        next_cursor: null,
        meta: {},
      },
    }),
  );
  await open(page, '/');
  await page.getByRole('link', { name: 'Harvest of each field' }).click();
  const bars = page.getByRole('list', { name: 'Harvest of each field' });
  await expect(bars.getByRole('listitem')).toHaveCount(2);
  await expect(bars).toContainText('12.5');
});
