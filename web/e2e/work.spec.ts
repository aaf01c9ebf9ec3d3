import { readFile } from 'node:fs/promises';
import { expect, open, rows, settled, test } from './support';

test('SQL runs, is shown as table and chart, and is exported', async ({ page }) => {
  await open(page, '/explore');
  const editor = page.getByRole('textbox', { name: 'SQL' });
  await editor.click();
  await page.keyboard.press('ControlOrMeta+a');
  await page.keyboard.type('SELECT date, dau FROM mart_daily_kpi ');
  await page.keyboard.type("WHERE platform = 'all' AND country = 'all' ORDER BY date");
  await page.keyboard.press('Escape');
  await page.keyboard.press('ControlOrMeta+Enter');
  const result = page.locator('[data-result]');
  await expect(result.locator('tbody tr').first()).toBeVisible();
  await expect(page).toHaveURL(/sql=/);
  await result.getByRole('button', { name: 'Chart' }).click();
  await expect(result.getByRole('application')).toBeVisible();
  const [file] = await Promise.all([
    page.waitForEvent('download'),
    result.getByRole('button', { name: 'CSV' }).click(),
  ]);
  expect(await readFile(await file.path(), 'utf8')).toMatch(/^"?date"?,"?dau"?\r?\n/);
});

test('the editor completes tables and columns of the catalogue', async ({ page }) => {
  await open(page, '/explore');
  const editor = page.getByRole('textbox', { name: 'SQL' });
  await editor.click();
  await page.keyboard.press('ControlOrMeta+a');
  await page.keyboard.type('SELECT * FROM star.dim_pla');
  const option = page.getByRole('option', { name: /dim_player/ }).first();
  await expect(option).toBeVisible();
});

test.describe('a statement that changes something', () => {
  test.use({ allowed: [/Failed to load resource/] });

  test('is refused with the reason', async ({ page }) => {
    await open(page, '/explore');
    await page.getByRole('textbox', { name: 'SQL' }).click();
    await page.keyboard.press('ControlOrMeta+a');
    await page.keyboard.type('DROP TABLE star.dim_player');
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Run' }).click();
    await expect(page.getByRole('region', { name: 'Error' })).toBeVisible();
  });
});

test('a saved query asks for its parameters and runs', async ({ page }) => {
  await open(page, '/explore');
  await page.getByRole('button', { name: 'Whales' }).click();
  await page.getByLabel(/^Min/).fill('1');
  await page.getByRole('button', { name: 'Run' }).click();
  await expect(page.locator('[data-result] tbody tr').first()).toBeVisible();
});

test('a player is found by name, and has a profile and a timeline', async ({ page }) => {
  const [player] = await rows(page, '/players?search=p&limit=1');
  const id = String(player?.player_id);
  await open(page, '/players');
  await page.getByRole('searchbox').fill(id);
  await page.getByRole('link', { name: id }).click();
  await settled(page);
  await expect(
    page.getByRole('heading', { name: String(player?.display_name ?? id) }),
  ).toBeVisible();
  await expect(page.locator('.timeline .event').first()).toBeVisible();
});

test('live figures arrive', async ({ page }) => {
  await open(page, '/live');
  await expect(page.getByText('Connected')).toBeVisible();
  await expect(page.locator('[data-figure=landed] .tile-value')).toHaveText(/\d/);
});

test('the pipeline adds up, its models open, and quarantine is replayed', async ({ page }) => {
  await open(page, '/pipeline');
  await expect(page.locator('[data-accounting]')).toContainText('consumed');
  await expect(page.getByText('Every record is accounted for')).toBeVisible();
  await page.getByRole('button', { name: /^mart_daily_kpi/ }).click();
  await expect(page.getByRole('heading', { name: 'mart_daily_kpi' })).toBeVisible();
  await settled(page);
  const replayed = page.waitForRequest((request) => request.url().endsWith('/quarantine/replay'));
  await page.getByRole('button', { name: 'Replay', exact: true }).first().click();
  expect((await replayed).postDataJSON()).toHaveProperty('reason');
  await expect(
    page.getByRole('status').filter({ hasText: /taken in again, of which/ }),
  ).toBeVisible();
});
