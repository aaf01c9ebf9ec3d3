import AxeBuilder from '@axe-core/playwright';
import { expect, open, pages, test } from './support';

for (const [title, path] of pages) {
  test(`${title} opens, shows no failure and is accessible in both themes`, async ({ page }) => {
    await open(page, path);
    await expect(page.locator('h1')).toHaveText(title);
    await expect(page.locator('.state.failed')).toHaveCount(0);
    for (const theme of ['Light', 'Dark']) {
      await page.getByRole('button', { name: theme, exact: true }).first().click();
      const { violations } = await new AxeBuilder({ page }).analyze();
      const serious = violations
        .filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' | ')}`);
      expect(serious, theme).toEqual([]);
    }
  });

  test(`${title} fits a narrow phone`, async ({ page }) => {
    await page.setViewportSize({ width: 360, height: 740 });
    await open(page, path);
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    expect(width).toBeLessThanOrEqual(360);
  });
}

test('the system’s theme applies, and a choice stays after a reload', async ({ page }) => {
  const ground = (): Promise<string> =>
    page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  await page.emulateMedia({ colorScheme: 'light' });
  await open(page, '/players');
  const light = await ground();
  await page.emulateMedia({ colorScheme: 'dark' });
  const dark = await ground();
  expect(dark).not.toBe(light);
  await page.getByRole('button', { name: 'Light', exact: true }).first().click();
  expect(await ground()).toBe(light);
  await page.reload();
  expect(await ground()).toBe(light);
});

test('the keyboard reaches the content, and reads a chart', async ({ page }) => {
  await open(page, '/');
  await page.keyboard.press('Tab');
  await expect(page.getByRole('link', { name: 'Skip to content' })).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(page.locator('#content')).toBeFocused();
  const chart = page.getByRole('application', { name: /^Active players/ });
  await chart.focus();
  await page.keyboard.press('ArrowLeft');
  const read = chart.getByRole('status');
  await expect(read).toContainText('DAU');
  const last = await read.textContent();
  await page.keyboard.press('ArrowLeft');
  await expect(read).not.toHaveText(last ?? '');
  await page.keyboard.press('Escape');
  await expect(read).toHaveCount(0);
});

test('an unknown address says so', async ({ page }) => {
  await page.goto('/no-such-page');
  await expect(page.getByText('There is no such page.')).toBeVisible();
});

test.describe('an API that refuses', () => {
  test.use({ allowed: [/Failed to load resource/] });

  test('asks for the key and goes on with it', async ({ page }) => {
    let given = '';
    await page.route('**/api/v1/**', async (route) => {
      given = route.request().headers().authorization ?? '';
      const headers = { ...route.request().headers() };
      delete headers.authorization;
      // The server behind the page knows no keys, so it must not see this one.
      if (given === 'Bearer qlk_right') await route.continue({ headers });
      else await route.fulfill({ status: 401, json: { title: 'A key is needed', status: 401 } });
    });
    await page.goto('/');
    const dialog = page.getByRole('dialog', { name: 'API key' });
    await dialog.getByLabel('Key').fill('qlk_wrong');
    await dialog.getByRole('button', { name: 'Continue' }).click();
    await expect(dialog).toContainText('refused');
    await dialog.getByLabel('Key').fill('qlk_right');
    await dialog.getByRole('button', { name: 'Continue' }).click();
    await expect(dialog).toBeHidden();
    await expect(page.locator('[data-figure=dau] .tile-value')).not.toBeEmpty();
    expect(await page.evaluate(() => sessionStorage.getItem('questlake.key'))).toBe('qlk_right');
  });

  test('a late refusal says nothing of the key that was entered since', async ({ page }) => {
    let release: () => void = () => undefined;
    const entered = new Promise<void>((resolve) => (release = resolve));
    await page.route('**/api/v1/**', async (route) => {
      const given = route.request().headers().authorization;
      const headers = { ...route.request().headers() };
      delete headers.authorization;
      if (given === 'Bearer qlk_right') return route.continue({ headers });
      // Of what is asked without a key all but one is answered only after the key was entered.
      if (!route.request().url().includes('/filters')) await entered;
      await route.fulfill({ status: 401, json: { title: 'A key is needed', status: 401 } });
    });
    await page.goto('/');
    const dialog = page.getByRole('dialog', { name: 'API key' });
    await dialog.getByLabel('Key').fill('qlk_right');
    await dialog.getByRole('button', { name: 'Continue' }).click();
    release();
    await expect(page.locator('[data-figure=dau] .tile-value')).not.toBeEmpty();
    await expect(dialog).toBeHidden();
  });

  test('a failing mart fails alone, and can be asked for again', async ({ page }) => {
    let broken = true;
    await page.route('**/api/v1/marts/mart_player_state**', async (route) => {
      if (broken)
        await route.fulfill({
          status: 503,
          json: { title: 'Not there', detail: 'It is away', status: 503 },
        });
      else await route.continue();
    });
    await page.goto('/retention');
    const card = page.locator('[data-card=player-states]');
    await expect(card).toContainText('It is away');
    await expect(page.locator('[data-card=cohorts] svg').first()).toBeVisible();
    broken = false;
    await card.getByRole('button', { name: 'Try again' }).click();
    await expect(card.getByRole('application')).toBeVisible();
  });
});
