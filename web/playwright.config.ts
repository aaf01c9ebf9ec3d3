import { defineConfig } from '@playwright/test';

// The pages are tested where DASHBOARD_URL says, or else against the fixture server of dev/.
const url = process.env.DASHBOARD_URL;
const port = 8091;

export default defineConfig({
  testDir: 'e2e',
  workers: 1,
  timeout: 60_000,
  expect: { timeout: 30_000 },
  forbidOnly: true,
  reporter: 'list',
  use: {
    baseURL: url ?? `http://127.0.0.1:${port}`,
    locale: 'en-US',
    timezoneId: 'America/New_York',
    viewport: { width: 1440, height: 900 },
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: ['--no-sandbox'],
    },
  },
  ...(url === undefined
    ? {
        webServer: {
          command: `node dev/server.mjs --dist`,
          env: { PORT: String(port) },
          url: `http://127.0.0.1:${port}/`,
          timeout: 60_000,
        },
      }
    : {}),
});
