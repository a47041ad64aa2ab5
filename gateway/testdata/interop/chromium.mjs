// Chromium's WebSocket against PUBLIC, host:port of a node, from the client page of ADMIN.
// CHROMIUM is the browser, /usr/bin/chromium without it.
import { createRequire } from 'node:module';
import { exercise } from './exercise.mjs';

const { chromium } = createRequire(import.meta.url)('playwright-core');
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ['--no-sandbox', '--no-proxy-server'] });
try {
  const page = await browser.newPage();
  page.on('console', (m) => console.log(m.text()));
  await page.goto(process.env.ADMIN + '/client');
  const extensions = await page.evaluate(`(${exercise})(WebSocket, '${process.env.PUBLIC}', 16 << 20, (s) => console.log(s))`);
  if (!extensions.includes('permessage-deflate')) throw new Error(`agreed on "${extensions}"`);
} finally {
  await browser.close();
}
