// Node's own WebSocket, npm's ws and Chromium's against PUBLIC, host:port of a node that
// speaks TLS with a certificate which CA, a file, vouches for. Each says something to
// /echo; Chromium opens an event stream, too.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { WebSocket as NPM } from 'ws';

const host = process.env.PUBLIC;

// echo runs in the browser, too.
const echo = (ws) =>
  new Promise((resolve, reject) => {
    ws.onopen = () => ws.send('x'.repeat(50000));
    let got = 0;
    ws.onmessage = (m) => {
      got = m.data.length;
      ws.close(1000, 'done');
    };
    ws.onclose = (e) => (e.code === 1000 ? resolve(got) : reject(new Error(`closed with ${e.code} ${e.reason}`)));
  });

console.log('native', await echo(new globalThis.WebSocket(`wss://${host}/echo`))); // NODE_EXTRA_CA_CERTS says whom it trusts
console.log('ws', await echo(new NPM(`wss://${host}/echo`, { ca: readFileSync(process.env.CA) })));

const { chromium } = createRequire(import.meta.url)('playwright-core');
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ['--no-sandbox', '--no-proxy-server'] });
try {
  const page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
  const response = await page.goto(`https://${host}/healthz`);
  const security = await response.securityDetails();
  console.log('page', response.status(), security.protocol);
  console.log('Chromium', await page.evaluate(`(${echo})(new WebSocket('wss://${host}/echo'))`));
  console.log('stream', await page.evaluate(() => new Promise((resolve) => {
    const events = new EventSource('/sse?channel=news');
    events.onopen = () => resolve('open');
    events.onerror = () => resolve('error');
  })));
} finally {
  await browser.close();
}
process.exit(0);
