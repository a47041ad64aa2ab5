// Pictures of a page, in light and in dark: node shot.mjs PAGE DIRECTORY
import { resolve } from 'node:path';
import { chromium } from 'playwright-core';

const [page, directory] = process.argv.slice(2);
const patience = 80_000; // ms; browsers start slowly on a busy machine
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', timeout: patience, args: ['--headless', '--no-sandbox', '--disable-gpu'] });
for (const colorScheme of ['light', 'dark']) {
  const context = await browser.newContext({ colorScheme, viewport: { width: 1680, height: 1150 } });
  const tab = await context.newPage();
  tab.setDefaultTimeout(patience);
  await tab.goto('file://' + resolve(page));
  await tab.screenshot({ path: `${directory}/dashboard-${colorScheme}.png` });
  await context.close();
}
await browser.close();
