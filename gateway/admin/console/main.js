// The console of one node: its state in the header, and the views below.

import { $, setText, duration } from './dom.js';
import { listen, ask } from './node.js';
import * as overview from './overview.js';
import * as explore from './explore.js';
import * as acting from './acting.js';
import { setPast, add, drawAll } from './plot.js';

let latest = null;   // overview
let heard = 0;       // when it came, ms of performance.now()
let trouble = '';    // what the node said when it would not stream

listen({
  past: setPast,
  before: overview.compareWith,
  overview(o) {
    latest = o;
    heard = performance.now();
    trouble = '';
    add(o.sample);
    acting.learn(o);
    explore.learn(o);
    overview.lookAtGaps(o);
    if (!$('overview').hidden && !document.hidden) {
      drawAll(o);
      overview.show(o);
    }
    header();
  },
  gone() {
    ask('/api/overview').then(() => { trouble = ''; }, (err) => { trouble = err.message; }).finally(header);
    header();
  },
});

const silence = () => (performance.now() - heard) / 1000;

function badge(text, tone) {
  setText($('ready'), text);
  $('ready').dataset.tone = tone;
}

function banner(text, tone) {
  $('banner').hidden = !text;
  $('banner').dataset.tone = tone;
  setText($('banner'), text);
}

function header() {
  const stale = heard === 0 ? performance.now() > 3000 : silence() > 3;
  document.body.classList.toggle('stale', stale);
  if (stale) {
    badge('No answer', 'bad');
    const words = trouble && trouble !== 'the node does not answer' ? ` It says: ${trouble}.` : '';
    banner(heard === 0 ? `No answer from the node.${words}` : `No answer since ${duration(silence())}: what is shown is from before.${words} Asking again every second.`, 'bad');
    return;
  }
  if (!latest) return;
  const up = `up ${duration(latest.uptime_seconds)}`;
  setText($('node'), [latest.node, latest.version, latest.dev ? 'dev mode' : '', up].filter(Boolean).join(' · '));
  document.title = `${latest.node} · Sluice console`;
  const [text, tone] = latest.leaving ? ['Draining', 'warn'] : latest.ready ? ['Ready', 'good'] : ['Not ready', 'bad'];
  badge(text, tone);
  if (latest.leaving) banner(`Draining: this node takes no new clients and tells its ${latest.sample.connections} connections to come back elsewhere.`, 'warn');
  else banner(latest.ready ? '' : `Not ready: ${latest.reason}`, 'bad');
}

function route() {
  const exploring = location.hash.startsWith('#/') && location.hash.length > 2;
  $('overview').hidden = exploring;
  $('explore').hidden = !exploring;
  for (const [id, on] of [['nav-overview', !exploring], ['nav-explore', exploring]]) {
    if (on) $(id).setAttribute('aria-current', 'page');
    else $(id).removeAttribute('aria-current');
  }
  if (exploring) explore.go(location.hash);
  else if (latest) { drawAll(latest); overview.show(latest); }
}

overview.build();
explore.build();
acting.build();
addEventListener('hashchange', route);
document.addEventListener('visibilitychange', () => { if (!document.hidden) route(); });
setInterval(header, 1000);
route();
