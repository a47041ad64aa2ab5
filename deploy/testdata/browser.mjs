// A page that came by HTTP/2 opens a WebSocket, and more event streams than a browser opens HTTP/1.1 connections to a host. The
// argument is the balancer's port; what came of it is printed.
import { chromium } from 'playwright-core';

const [port] = process.argv.slice(2);
const patience = 80_000; // ms; browsers start slowly on a busy machine, and the test ends what takes longer
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  timeout: patience,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking'],
});
const context = await browser.newContext({ ignoreHTTPSErrors: true });
const page = await context.newPage();
page.setDefaultTimeout(patience);
await page.goto(`https://localhost:${port}/healthz`);
console.log(await page.evaluate(async (port) => {
  const by = performance.getEntriesByType('navigation')[0].nextHopProtocol;
  const socket = await new Promise((resolve) => {
    const ws = new WebSocket(`wss://localhost:${port}/ws?channel=news`);
    ws.onopen = () => resolve('open');
    ws.onclose = (e) => resolve(`closed ${e.code}`);
  });
  const streams = await Promise.all(Array.from({ length: 10 }, (_, i) => new Promise((resolve) => {
    const events = new EventSource(`/sse?channel=news:${i}`);
    events.onopen = () => resolve(1);
    events.onerror = () => resolve(0);
  })));
  return `${by}, WebSocket ${socket}, ${streams.reduce((a, b) => a + b)} event streams`;
}, port));
await browser.close();
