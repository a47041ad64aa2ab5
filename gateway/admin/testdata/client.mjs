// Drives the console's client page of a running node in Chromium, as a developer would.
//
//   ADMIN_URL=http://127.0.0.1:8001 node client.mjs
//
// The node must let anonymous clients subscribe (sluice serve --dev). Settings:
//
//   ADMIN_URL      the admin listener; needed
//   CHANNEL        a channel that clients may use          (news)
//   BAD_CHANNEL    a name that the node refuses            (300 times "x")
//   EXPECT_CLOSE   a close code. The script prints "waiting for close" and then
//                  expects the node to close the connection with that code. Without
//                  it the page closes the connection itself, with 1000.
//   EXPECT_REASON  words expected in the reason, with EXPECT_CLOSE
//   ASK_BINARY     what a client sends to be answered by a binary message; without it
//                  that step is left out
//   EXPECT_NODES   how many nodes the page is to know of, two or more
//   EXPECT_GAPS    what it is to say of the last time that messages may have been missed
//   OUT_DIR        where to put screenshots; none without it
//   CHROMIUM       the browser                              (/usr/bin/chromium)
//
// Every wait is bounded. Exit status 0: all steps passed; 1: the first that did
// not is named on standard error, with what the page showed.
import { createRequire } from 'node:module';
import { join } from 'node:path';

const { chromium } = createRequire(import.meta.url)('playwright-core'); // require, unlike import, heeds NODE_PATH

const env = (name, otherwise) => process.env[name] || otherwise;
const adminURL = env('ADMIN_URL');
const channel = env('CHANNEL', 'news');
const badChannel = env('BAD_CHANNEL', 'x'.repeat(300));
const expectClose = env('EXPECT_CLOSE');
const expectReason = env('EXPECT_REASON', '');
const askBinary = env('ASK_BINARY');
const expectNodes = env('EXPECT_NODES');
const expectGaps = env('EXPECT_GAPS');
const outDir = env('OUT_DIR');
const patience = 30000; // ms, for each wait

if (!adminURL) {
  console.error('client: ADMIN_URL is not set');
  process.exit(1);
}

const browser = await chromium.launch({
  executablePath: env('CHROMIUM', '/usr/bin/chromium'),
  timeout: patience,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});

const faults = []; // what the page itself complained of, the content policy included
let current = 'start';

async function open(options) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(patience);
  const page = await context.newPage();
  page.on('pageerror', (err) => faults.push(`exception: ${err.message}`));
  page.on('console', (m) => { if (m.type() === 'error' && !expected(m.text())) faults.push(m.text()); });
  await page.goto(`${adminURL}/client`);
  return page;
}

// expected: Chromium logs each refused request, and refusals are among the steps.
const expected = (text) => /Failed to load resource|WebSocket connection to/.test(text);

async function step(name, body) {
  current = name;
  const began = performance.now();
  await body();
  console.log(`ok ${name} (${Math.round(performance.now() - began)} ms)`);
}

const see = (locator, text) => locator.filter({ hasText: text }).first().waitFor();

async function check(ok, what) {
  if (!(await ok)) throw new Error(what);
}

async function connect(page, channels) {
  await page.getByLabel('Channels', { exact: true }).fill(channels);
  await page.locator('#connect').click();
}

const outcome = (page) => page.locator('#result');
const history = (page, word) => page.locator(`#history li[data-word=${JSON.stringify(word)}]`);

async function send(page, payload) {
  await page.getByText('Send', { exact: true }).first().click();
  await page.getByLabel('Payload').fill(payload);
  await page.locator('#go').click();
}

async function publish(page, name, payload) {
  await page.getByText('Publish', { exact: true }).first().click();
  await page.locator('#target').fill(name);
  await page.getByLabel('Payload').fill(payload);
  await page.locator('#go').click();
}

// publishMany goes past the page: it is the page that is to be kept busy.
async function publishMany(name, count) {
  let next = 0;
  const worker = async () => {
    while (next < count) {
      const answer = await fetch(`${adminURL}/api/publish`, {
        method: 'POST', headers: { 'Content-Type': 'application/json' }, signal: AbortSignal.timeout(patience),
        body: JSON.stringify({ channel: name, b64data: btoa(JSON.stringify({ burst: next++ })) }),
      });
      if (!answer.ok) throw new Error(`a publish was refused: ${await answer.text()}`);
      await answer.arrayBuffer(); // to its end, so that the connection is used again
    }
  };
  await Promise.all([worker(), worker(), worker(), worker()]);
}

async function shoot(page, name, options = {}) {
  if (outDir) await page.screenshot({ path: join(outDir, name), ...options });
}

async function run() {
  const page = await open({ viewport: { width: 1280, height: 800 }, colorScheme: 'dark' });
  const order = `{"order":${Date.now()},"state":"shipped","note":"<img src=x onerror=alert(1)>"}`;
  const chat = `{"chat":${Date.now()},"text":"is anybody there?"}`;

  await step('the header shows the node', async () => {
    await see(page.locator('#ready'), 'Ready');
    await check(/^\d/.test(await page.locator('#connections').textContent()), 'the number of connections is not shown');
  });

  if (expectNodes) await step('the header lists the nodes', async () => {
    await page.locator('#nodes', { hasText: expectNodes }).click();
    await see(page.locator('#node-list li'), '(this one)');
    await check(await page.locator('#node-list li').count() === Number(expectNodes), 'not all nodes are listed');
    await shoot(page, 'client-nodes.png');
    await page.locator('#nodes').click();
  });

  if (expectGaps) await step('tells when messages may have been missed', async () => {
    await page.locator('#gaps-short', { hasText: expectGaps }).click();
    await page.locator('#gaps-list li').first().waitFor();
    await check(await page.locator('#gaps-list li').count() <= 5, 'more than five are shown');
    await shoot(page, 'client-gaps-dark.png');
    await page.emulateMedia({ colorScheme: 'light' });
    await shoot(page, 'client-gaps-light.png');
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.locator('#gaps-short').click();
  });

  await step('connects', async () => {
    await connect(page, channel);
    await see(page.locator('#state'), 'Connected');
    await history(page, 'open').first().waitFor();
  });

  await step('a published message arrives with the time it took', async () => {
    await publish(page, channel, order);
    const row = page.locator('#messages .message', { hasText: order.slice(0, 24) });
    await row.first().waitFor();
    await see(row.locator('.chip.good'), / (ms|s)$/);
    await see(row.locator('.chip'), channel);
    await see(outcome(page), /^Published/);
    await row.locator('summary').first().click();
    await see(row.locator('pre'), /"state": "shipped"/);
    await check(await page.locator('#messages img').count() === 0, 'a payload became markup');
    await row.locator('summary').first().click();
  });

  await step('plain text is published verbatim', async () => {
    await publish(page, channel, 'good morning');
    await see(page.locator('#messages .message .preview'), /^good morning$/);
  });

  await step('a sent message appears in the inbox', async () => {
    await send(page, chat);
    await see(outcome(page), /^(Sent|Next message)/);
    const entry = page.locator('#inbox .entry', { hasText: chat.slice(0, 24) }).first();
    await entry.waitFor();
    await see(entry.locator('.chip'), 'message');
  });

  if (askBinary) await step('a binary message is shown in hexadecimal', async () => {
    await send(page, askBinary);
    const row = page.locator('#messages .message', { hasText: 'binary' }).first();
    await row.waitFor();
    await row.locator('summary').click();
    await see(row.locator('pre'), /^0000 {2}([0-9a-f]{2} ){3}/);
  });

  await step('a bad channel is refused in words when published to', async () => {
    await publish(page, badChannel, '{}');
    await see(outcome(page), /^Not published: channel/);
    await page.locator('#target').fill(channel);
    await page.getByLabel('Payload').fill(order);
  });

  await step('filter, pause and resume', async () => {
    await page.getByLabel('Filter messages').fill('good morn');
    await page.locator('#messages .message', { hasText: 'shipped' }).waitFor({ state: 'detached' });
    await page.getByLabel('Filter messages').fill('');
    await page.locator('#messages .message', { hasText: 'shipped' }).first().waitFor();
    await page.locator('#pause').click();
    await publish(page, channel, '{"while":"paused"}');
    await see(page.locator('#counter'), '1 held');
    await page.locator('#pause').click();
    await page.locator('#messages .message', { hasText: 'paused' }).first().waitFor();
  });

  await step('several channels on one connection', async () => {
    await connect(page, `${channel}, ${channel}2`);
    await see(page.locator('#state'), 'Connected');
    await see(page.locator('#url'), `channel=${channel}&channel=${channel}2`);
    await publish(page, `${channel}2`, '{"second":"channel"}');
    const row = page.locator('#messages .message', { hasText: 'second' });
    await see(row.locator('.chip'), `${channel}2`);
  });

  await shoot(page, 'client-desktop-dark.png');
  await page.emulateMedia({ colorScheme: 'light' });
  await shoot(page, 'client-desktop-light.png');

  await step('copies the line for a terminal', async () => {
    await page.getByText('sluice', { exact: true }).last().click();
    await see(page.locator('#command'), `sluice publish ${channel}`);
    await page.getByLabel('Copy the command').click();
    await see(page.locator('[data-copy=command]'), 'Copied');
  });

  await step('keeps the latest 500 of many messages', async () => {
    await page.locator('#clear').click();
    await publishMany(channel, 520);
    await see(page.locator('#counter'), '520 received');
    await page.locator('#messages .message').nth(499).waitFor();
    await check(await page.locator('#messages .message').count() === 500, 'more than 500 messages are kept');
  });

  await step('closing shows code and reason', async () => {
    if (expectClose) {
      console.log('waiting for close');
      const line = history(page, 'closed').filter({ hasText: `${expectClose}, ` });
      await see(line, expectReason);
      if (await page.locator('#disconnect').isEnabled()) await page.locator('#disconnect').click();
    } else {
      await page.locator('#disconnect').click();
      await see(history(page, 'closed'), '1000, closed normally');
      await see(page.locator('#state'), 'Closed · 1000');
    }
  });

  const echo = await page.locator('#path option', { hasText: '(echo)' }).first().getAttribute('value', { timeout: 500 }).catch(() => null);
  if (echo) await step('an echo comes back with the round trip', async () => {
    await page.getByText('Token, subprotocol, address').click();
    await page.locator('#path').selectOption(echo);
    await connect(page, '');
    await see(page.locator('#state'), 'Connected');
    await send(page, 'is anybody there?');
    await see(outcome(page), /^Next message after [\d.]+ m?s\.$/);
    await page.locator('#disconnect').click();
    await see(page.locator('#state'), 'Closed');
    await page.locator('#path').selectOption({ index: 0 });
    await page.getByText('Token, subprotocol, address').click();
  });

  await step('a bad channel is refused in words when connected to', async () => {
    await connect(page, badChannel);
    await see(history(page, 'refused'), /channel "/);
    await see(page.locator('#state'), 'Refused');
  });

  await step('a phone', async () => {
    const phone = await open({ viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true, colorScheme: 'light' });
    await see(phone.locator('#ready'), 'Ready');
    await connect(phone, channel);
    await see(phone.locator('#state'), 'Connected');
    await publish(phone, channel, order);
    await phone.locator('#messages .message', { hasText: 'shipped' }).first().waitFor();
    const fits = async () => {
      const wide = await phone.evaluate(() => [...document.querySelectorAll('body *')]
        .filter((e) => e.scrollWidth > 0 && e.getBoundingClientRect().right > 390.5 && !e.closest('.copy, .preview'))
        .map((e) => `${e.tagName.toLowerCase()} ${e.id || e.className}`));
      await check(wide.length === 0, `wider than a phone's screen: ${wide.join('; ')}`);
    };
    await fits();
    await shoot(phone, 'client-phone.png');
    await shoot(phone, 'client-phone-full.png', { fullPage: true });
    const trouble = 'Redis at 127.0.0.1:6379 is not proven to deliver: the last probe that came back is 2.505s old';
    await phone.route('**/api/info', async (route) => {
      const response = await route.fetch();
      const info = await response.json();
      await route.fulfill({ response, json: { ...info, ready: false, reason: trouble, redis: { ...info.redis, ok: false, state: trouble } } });
    });
    await see(phone.locator('#redis'), 'not proven');
    await see(phone.locator('#ready'), 'Not ready');
    await fits();
    await shoot(phone, 'client-phone-trouble.png');
    await phone.unroute('**/api/info');
    await phone.locator('#disconnect').click();
    await see(phone.locator('#state'), 'Closed');
  });

  await step('says when the node is unreachable, and when it is back', async () => {
    await page.route('**/api/info', (route) => route.abort());
    await see(page.locator('#ready'), 'Unreachable');
    await see(page.locator('#banner'), /^This node has not answered since \d\d:\d\d:\d\d/);
    await shoot(page, 'client-unreachable.png');
    await page.unroute('**/api/info');
    await see(page.locator('#ready'), 'Ready');
    await page.locator('#banner').waitFor({ state: 'hidden' });
  });

  current = 'no complaints of the browser';
  await check(faults.length === 0, faults.join('\n'));
}

let status = 0;
try {
  await run();
} catch (err) {
  status = 1;
  console.error(`client: failed at "${current}": ${err.message}`);
  for (const page of browser.contexts().flatMap((c) => c.pages())) {
    console.error(await page.locator('body').innerText({ timeout: 1000 }).catch(() => '(the page cannot be read)'));
    await shoot(page, 'client-failed.png').catch(() => {}); // the message above is what counts
  }
}
await browser.close();
process.exit(status);
