// Drives the console of a running node in Chromium, as somebody on call does.
//
//   ADMIN_URL=http://127.0.0.1:8001 PUBLIC=127.0.0.1:8000 REDIS=redis://… KEY=… TOKEN=… node console.mjs
//
// The node lets anonymous clients in, has the API key KEY, and keeps presence and logs for the
// namespace orders. TOKEN is one of user 42. OUT_DIR is where to put screenshots; none without
// it. CHROMIUM is the browser (/usr/bin/chromium).
//
// Every wait is bounded. Exit status 0: all steps passed; 1: the first that did not is named on
// standard error, with what the page showed.
import { createRequire } from 'node:module';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';

const require = createRequire(import.meta.url); // which, unlike import, heeds NODE_PATH
const { chromium } = require('playwright-core');
const WebSocket = require('ws');
const { createClient } = require('redis');

const { ADMIN_URL: adminURL, PUBLIC: publicAddress, REDIS: redisURL, KEY: key, TOKEN: token, OUT_DIR: outDir } = process.env;
const patience = 30000; // ms, for each wait
const hostile = '<img src=x onerror="document.title=\'taken over\'"><script>document.title="taken over"</script>';

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  timeout: patience,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const redis = createClient({ url: redisURL });
await redis.connect();

const faults = []; // what the page itself complained of, the content policy included
const elsewhere = []; // requests that left this node
const clients = [];
let current = 'start';

async function open(options, path = '/', base = adminURL) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(patience);
  const page = await context.newPage();
  page.on('pageerror', (err) => faults.push(`exception: ${err.message}`));
  page.on('console', (m) => { if (m.type() === 'error' && !expected(m.text())) faults.push(m.text()); });
  page.on('request', (r) => { if (!r.url().startsWith(base) && !r.url().startsWith('data:')) elsewhere.push(r.url()); });
  await page.goto(base + path);
  return page;
}

// expected: Chromium logs each refused request, and refusals are among the steps.
const expected = (text) => /Failed to load resource/.test(text);

async function step(name, body) {
  current = name;
  const began = performance.now();
  await body();
  console.log(`ok ${name} (${Math.round(performance.now() - began)} ms)`);
}

const see = (locator, text) => locator.filter({ hasText: text }).first().waitFor();

// seeSoon is see for what has to come about first: it is looked up again until it has.
async function seeSoon(page, text) {
  for (const late = Date.now() + patience; ; ) {
    try {
      await page.locator('#found').filter({ hasText: text }).first().waitFor({ timeout: 2000 });
      return;
    } catch (err) {
      if (Date.now() > late) throw err;
      await page.locator('#found').getByRole('button', { name: 'Refresh' }).first().click();
    }
  }
}

async function check(ok, what) {
  if (!(await ok)) throw new Error(what);
}

function client(path) {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(`ws://${publicAddress}${path}`);
    clients.push(ws);
    ws.closed = new Promise((r) => { ws.on('close', (code) => r(code)); });
    ws.on('open', () => resolve(ws));
    ws.on('error', reject);
  });
}

async function shoot(page, name, options = {}) {
  if (outDir) await page.screenshot({ path: join(outDir, name), ...options });
}

async function lookUp(page, kind, name) {
  await page.getByText(kind, { exact: true }).click();
  await page.locator('#term').fill(name);
  await page.locator('#term').press('Enter');
}

// pressTwice presses a button that asks once whether that is meant. The question stands for
// some seconds, in which a busy machine may not come to answer it: then it is asked again.
async function pressTwice(place, name, sure) {
  for (const late = Date.now() + patience; ; ) {
    await place.getByRole('button', { name }).click();
    try {
      await place.getByRole('button', { name: sure }).click({ timeout: 4000 });
      return;
    } catch (err) {
      if (Date.now() > late) throw err;
    }
  }
}

// proxy is a way to the node that can be cut.
function proxy() {
  const { hostname, port } = new URL(adminURL);
  const sockets = new Set();
  const server = createServer((near) => {
    const node = connect(Number(port), hostname);
    for (const [one, other] of [[near, node], [node, near]]) {
      sockets.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => { sockets.delete(one); other.destroy(); });
      one.pipe(other);
    }
  });
  let listening = 0;
  return {
    port: () => listening,
    open: () => new Promise((r) => { server.listen(listening, '127.0.0.1', () => { listening = server.address().port; r(); }); }),
    close: () => new Promise((r) => { server.close(r); for (const one of sockets) one.destroy(); }),
  };
}

// colours are what a page is painted in.
const colours = (page) => page.evaluate(() => [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector('.card')).backgroundColor].join());

async function run() {
  const page = await open({ viewport: { width: 1280, height: 900 }, colorScheme: 'dark' });
  const value = (id) => page.locator(`[data-plot=${id}] .value`);

  await step('the overview shows the node', async () => {
    await see(page.locator('#ready'), 'Ready');
    await see(page.locator('#key'), 'Read-only');
    await see(value('connections'), /^0of /);
    await see(page.locator('#panel-links'), /127\.0\.0\.1/);
    await see(page.locator('#panel-namespaces'), 'orders');
  });

  let mine;
  await step('it moves', async () => {
    mine = await client(`/ws?channel=orders:7&channel=news&token=${token}`);
    await see(value('connections'), /^1of /);
    const drawn = await page.locator('[data-plot=connections] path.line').getAttribute('d');
    await page.waitForFunction((d) => document.querySelector('[data-plot=connections] path.line').getAttribute('d') !== d, drawn);
  });

  await step('both colour schemes', async () => {
    const dark = await colours(page);
    await shoot(page, 'console-dark.png');
    await page.emulateMedia({ colorScheme: 'light' });
    await check(dark !== await colours(page), 'light looks like dark');
    await shoot(page, 'console-light.png');
    await page.emulateMedia({ colorScheme: 'dark' });
  });

  await step('the plots can be read without a mouse', async () => {
    await page.locator('[data-plot=deliveries]').focus();
    await page.keyboard.press('ArrowLeft');
    await see(page.locator('[data-plot=proof] .readout'), /^\d\d:\d\d:\d\d/);
    await page.keyboard.press('Escape');
    await page.waitForFunction(() => document.querySelector('[data-plot=proof] .readout').textContent === '');
  });

  await step('a channel is looked up', async () => {
    await page.locator('#nav-explore').click();
    await lookUp(page, 'Channel', 'orders:7');
    await see(page.locator('#found .facts'), '1 connection');
    await seeSoon(page, '1 user on all nodes');
  });

  await step('what is published through Redis is followed, and is text', async () => {
    await page.getByRole('button', { name: 'Follow' }).click();
    const shown = page.locator('#tail .message');
    const stop = setInterval(() => redis.publish('sluice:orders:7', hostile), 200); // until it is listened to
    await see(shown, '<img src=x onerror=').finally(() => clearInterval(stop));
    await shown.first().locator('summary').click();
    await see(shown.locator('pre'), '<script>');
    await check(await page.locator('#tail img, #tail script').count() === 0, 'a payload became markup');
    await check(!(await page.title()).includes('taken over'), 'a payload ran');
    await redis.publish('sluice:orders:7', Buffer.from([0, 1, 0xfe, 0xff]));
    await see(shown.locator('.preview'), '00 01 fe ff');
    await redis.publish('sluice:orders:7', 'x'.repeat(9000));
    await see(shown.locator('.size'), /8\.8 KiB · cut/);
  });

  await step('a busy channel is thinned out, and that is said', async () => {
    for (let i = 0; i < 4; i++) await Promise.all(Array.from({ length: 250 }, (_, n) => redis.publish('sluice:orders:7', `{"n":${i * 250 + n}}`)));
    await see(page.locator('#tail .skipped'), /skipped: more come than can be shown/);
    await see(page.locator('#tail-count'), /\d+ skipped/);
    await check(await page.locator('#tail > *').count() <= 300, 'too many rows are kept');
  });

  await step('nothing can be changed without the key', async () => {
    for (const name of ['Publish', 'Disconnect']) {
      await check(page.getByRole('button', { name, exact: true }).first().isDisabled(), `${name} is not disabled`);
    }
    await see(page.locator('#found .readonly'), 'enter the API key first');
    for (const [path, body] of [['publish', { channel: 'news', data: 1 }], ['disconnect', { user: '42' }]]) {
      const status = await page.evaluate(async ([p, b]) => (await fetch(`/api/${p}`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(b) })).status, [path, body]);
      await check(status === 401, `${path} without a key is answered ${status}`);
    }
    await shoot(page, 'console-explore-dark.png');
  });

  await step('the key is asked for, and a wrong one is refused', async () => {
    await page.locator('#key').click();
    await page.locator('#key-input').fill('something-else-here');
    await page.keyboard.press('Enter');
    await see(page.locator('#key-result'), 'This is not the key.');
    await page.locator('#key-input').fill(key);
    await page.keyboard.press('Enter');
    await see(page.locator('#key'), 'Key given');
    await check(page.locator('#key-dialog').isHidden(), 'the dialog is still there');
    await check(page.evaluate((k) => !document.cookie && !JSON.stringify(localStorage).includes(k), key), 'the key is kept beyond this tab');
  });

  await step('with the key it publishes', async () => {
    const received = new Promise((r) => { mine.on('message', (data) => { if (String(data) === 'from the console') r(); }); });
    await page.locator('#payload').fill('from the console');
    await page.getByRole('button', { name: 'Publish', exact: true }).click();
    await see(page.locator('#published'), /^Published 16 B at position \d+/);
    await received;
  });

  await step('it disconnects a connection, asked twice', async () => {
    const other = await client('/ws?channel=orders:7');
    await lookUp(page, 'Channel', 'orders:7');
    const row = page.locator('#found tr', { hasText: 'anonymous' }).filter({ has: page.getByRole('button') });
    await pressTwice(row, 'Disconnect', 'Sure?');
    await other.closed;
  });

  await step('a connection tells its story', async () => {
    const row = page.locator('#found tr', { hasText: '42' }).filter({ has: page.getByRole('button') });
    await row.locator('a', { hasText: /^…/ }).first().click();
    await see(page.locator('#found .facts'), /stateopen/);
    await see(page.locator('#found'), '127.0.0.1');
  });

  await step('it finds a user, and disconnects all of the user’s connections', async () => {
    await lookUp(page, 'User', '42');
    await see(page.locator('#found'), 'orders:7');
    await pressTwice(page, 'Disconnect all', 'On all nodes: sure?');
    await mine.closed;
    await seeSoon(page, '0 connections');
    await seeSoon(page, 'Ended lately');
  });

  await step('a bad name is refused in words', async () => {
    await lookUp(page, 'Channel', 'no channel');
    await see(page.locator('#found'), /space/);
  });

  await step('a phone', async () => {
    const phone = await open({ viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true, colorScheme: 'light' });
    await see(phone.locator('#ready'), 'Ready');
    await see(phone.locator('#panel-links'), /127\.0\.0\.1/);
    const wide = () => phone.evaluate(() => document.documentElement.scrollWidth);
    await check(await wide() <= 390, `the overview is ${await wide()} px wide`);
    await shoot(phone, 'console-phone.png', { fullPage: true });
    await phone.locator('#nav-explore').click();
    await lookUp(phone, 'Channel', 'orders:7');
    await see(phone.locator('#found .facts'), 'orders');
    await check(await wide() <= 390, `exploring is ${await wide()} px wide`);
    await shoot(phone, 'console-phone-explore.png', { fullPage: true });
    await phone.close();
  });

  await step('says since when the node has not answered, and that it is back', async () => {
    const between = proxy();
    await between.open();
    const far = await open({ viewport: { width: 1280, height: 900 }, colorScheme: 'light' }, '/', `http://127.0.0.1:${between.port()}`);
    await see(far.locator('#ready'), 'Ready');
    await between.close();
    await see(far.locator('#ready'), 'No answer');
    await see(far.locator('#banner'), /^No answer since \d+ s: what is shown is from before/);
    await shoot(far, 'console-stale.png');
    await between.open();
    await see(far.locator('#ready'), 'Ready');
    await far.locator('#banner').waitFor({ state: 'hidden' });
    await far.close();
    await between.close();
  });

  current = 'no complaints of the browser';
  await check(faults.length === 0, faults.join('\n'));
  await check(elsewhere.length === 0, `something was loaded from elsewhere: ${elsewhere.join(' ')}`);
}

let status = 0;
try {
  await run();
} catch (err) {
  status = 1;
  console.error(`console: failed at "${current}": ${err.message}`);
  for (const page of browser.contexts().flatMap((c) => c.pages())) {
    console.error(await page.locator('body').innerText({ timeout: 1000 }).catch(() => '(the page cannot be read)'));
    await shoot(page, 'console-failed.png').catch(() => {}); // the message above is what counts
  }
}
for (const ws of clients) ws.terminate();
await redis.close();
await browser.close();
process.exit(status);
