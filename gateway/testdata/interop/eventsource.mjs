// An EventSource of URL, until the program is ended: every event is a line of JSON on standard output, its opening and its errors among them.
//
//   CLIENT=node       the one of npm's eventsource
//   CLIENT=chromium   the browser's, in the page at PAGE; with CREDENTIALS, which sends cookies. CHROMIUM is the browser, /usr/bin/chromium without it
import { createRequire } from 'node:module';

function follow(EventSource, url, options, tell) {
  const source = new EventSource(url, options);
  source.onopen = () => tell({ type: 'open' });
  source.onerror = (e) => { // a cut stream ends so, too: then it connects again (0), or has given up (2)
    if (e.data === undefined) tell({ type: 'error', data: String(source.readyState) });
  };
  for (const type of ['message', 'binary', 'gap', 'ready', 'resumed', 'reset', 'close']) {
    source.addEventListener(type, (e) => tell({ type, id: e.lastEventId, data: e.data }));
  }
}

const url = process.env.URL_OF_STREAM;
const tell = (event) => console.log(JSON.stringify(event));
if (process.env.CLIENT === 'node') {
  const { EventSource } = await import('eventsource');
  follow(EventSource, url, {}, tell);
} else {
  const { chromium } = createRequire(import.meta.url)('playwright-core');
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ['--no-sandbox', '--no-proxy-server'] });
  process.stdin.on('end', () => browser.close()).resume(); // the test has seen enough
  const page = await browser.newPage();
  await page.exposeFunction('tell', tell);
  await page.goto(process.env.PAGE);
  await page.evaluate(`(${follow})(EventSource, '${url}', { withCredentials: ${!!process.env.CREDENTIALS} }, tell)`);
}
process.stdin.on('end', () => process.exit(0)).resume();
