// Pictures of every page, to be looked at: node dev/screenshots.mjs FOLDER/PREFIX [page…]

import { chromium } from '@playwright/test';

const [prefix = 'page', ...only] = process.argv.slice(2);
const base = process.env.DASHBOARD_URL ?? 'http://127.0.0.1:8090';
const pages = {
  overview: '/',
  retention: '/retention',
  monetization: '/monetization',
  progression: '/progression',
  economy: '/economy',
  players: '/players?search=a',
  experiments: '/experiments',
  stability: '/stability',
  live: '/live',
  explore:
    '/explore?sql=SELECT+date%2C+platform%2C+dau%0AFROM+star.mart_daily_kpi%0AWHERE+country+%3D+%27all%27+AND+platform+%3C%3E+%27all%27%0AORDER+BY+date%2C+platform',
  saved: '/explore?query=whales',
  pipeline: '/pipeline',
  marts: '/marts',
  mart: '/marts/mart_level',
};
const sizes = { wide: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } };
const themes = (process.env.THEMES ?? 'light,dark').split(',');
const wanted = (process.env.SIZES ?? 'wide,phone').split(',');

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox'],
});
for (const size of wanted) {
  for (const theme of themes) {
    const context = await browser.newContext({
      viewport: sizes[size],
      colorScheme: theme,
      locale: 'en-US',
    });
    const page = await context.newPage();
    page.on(
      'console',
      (message) => message.type() === 'error' && console.log(`${theme} ${size}: ${message.text()}`),
    );
    page.on('pageerror', (error) => console.log(`${theme} ${size}: ${error.stack}`));
    for (const [name, path] of Object.entries(pages)) {
      if (only.length > 0 && !only.includes(name)) continue;
      await page.goto(base + path);
      await page
        .waitForFunction(
          () =>
            document.querySelector('h1') &&
            !document.querySelector('.skeleton, .tile-skeleton, .page-wait'),
          null,
          { timeout: 30_000 },
        )
        .catch(() => console.log(`${name}: still loading`));
      await page.waitForTimeout(name === 'live' ? 4000 : 250);
      await page.screenshot({
        path: `${prefix}-${name}-${theme}-${size}.png`,
        fullPage: process.env.FULL !== '0',
      });
    }
    await context.close();
  }
}
await browser.close();
