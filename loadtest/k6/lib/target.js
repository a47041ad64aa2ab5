import exec from 'k6/execution';
import http from 'k6/http';
import { WebSocket } from 'k6/websockets';
import { Redis } from './redis.js';

// What can be wrong with a connection that does not open.
export const reasons = ['refused', 'handshake', 'timeout', 'reset', 'other'];

// reason is the one of reasons that an error of k6's speaks of.
export function reason(error) {
  if (/bad handshake/.test(error)) return 'handshake';
  if (/refused/.test(error)) return 'refused';
  if (/timeout|deadline/.test(error)) return 'timeout';
  if (/reset|EOF|broken pipe/.test(error)) return 'reset';
  return 'other';
}

// address is where to connect for these channels; nodes are taken in turn. since are positions, one for each channel.
export function address(settings, turn, channels, since = []) {
  const nodes = settings.URL.split(',');
  const query = channels.map((channel, i) => `channel=${encodeURIComponent(channel)}` + (since[i] === undefined ? '' : `&since=${since[i]}`));
  if (settings.TOKEN !== '') query.push(`token=${encodeURIComponent(settings.TOKEN)}`);
  const node = nodes[turn % nodes.length];
  return node + (node.includes('?') ? '&' : '?') + query.join('&');
}

// quiet keeps what is different for each connection out of k6's own metrics.
export const quiet = { tags: { name: 'node', url: 'node' } };

// channelName is the i-th channel of a run.
export function channelName(settings, run, i) {
  return `${settings.NAMESPACE}:${run}-${i}`;
}

// reach makes sure, before a run, that what is published on Redis comes out of
// every node, and returns a name for the run. Otherwise it ends the test and says
// why. durable: clients must be able to come back from a position, too.
export async function reach(settings, { durable = false } = {}) {
  const run = `${Date.now().toString(36)}`;
  const redis = new Redis(settings);
  try {
    await redis.command('PING');
  } catch (e) {
    exec.test.abort(`${settings.shown.REDIS} does not answer: ${e}. With make run the embedded broker is at redis://127.0.0.1:6380; another one: -e REDIS=redis://…`);
  }
  const nodes = settings.URL.split(',');
  for (let i = 0; i < nodes.length; i++) {
    const trouble = await hears(settings, redis, i, `${settings.NAMESPACE}:${run}-probe`);
    if (trouble) exec.test.abort(`${nodes[i]}: ${trouble}`);
  }
  if (durable) await resumes(settings, redis, `${settings.NAMESPACE}:${run}-probe`);
  return run;
}

async function resumes(settings, redis, channel) {
  let position;
  try {
    position = await redis.publishDurable(channel, 'here', channel);
  } catch (e) {
    exec.test.abort(`nothing can be published durably: ${e}. Redis 7 is needed, with the functions that a node loads (sluice functions prints them)`);
  }
  const trouble = await new Promise((resolve) => {
    const ws = new WebSocket(address(settings, 0, [channel], [position]), 'sluice.v1', quiet);
    ws.onopen = () => {
      resolve();
      ws.close();
    };
    ws.onerror = (e) => resolve(complaint(settings, 0, [channel], e.error, [position]));
  });
  if (trouble) exec.test.abort(`a client that comes back: ${trouble} Is the namespace ${settings.NAMESPACE} durable?`);
}

// hears is undefined where what is published comes out of a node, and else what is wrong.
function hears(settings, redis, turn, channel) {
  return new Promise((resolve) => {
    const ws = new WebSocket(address(settings, turn, [channel]), null, quiet);
    const end = (trouble) => {
      clearTimeout(patience);
      resolve(trouble);
      ws.close();
    };
    let opened = false;
    const patience = setTimeout(() => end(opened
      ? `what is published on ${settings.shown.REDIS} does not come out here within 10 s. Is that the Redis of this node, and PREFIX=${settings.PREFIX} its prefix? Is ${settings.NAMESPACE} a namespace that may be subscribed to?`
      : 'no answer to the handshake within 10 s'), 10000);
    ws.onopen = () => {
      opened = true;
      redis.publish(channel, 'here').catch((e) => end(`publishing failed: ${e}`));
    };
    ws.onmessage = () => end();
    ws.onclose = (e) => end(`closed with ${e.code || 'no code'} ${e.reason || ''}`);
    ws.onerror = (e) => end(complaint(settings, turn, [channel], e.error));
  });
}

// complaint is what is wrong with a connection that does not open, and what to do about it.
function complaint(settings, turn, channels, error, since) {
  if (reason(error) === 'refused') return `${error}. Is the server running? make run starts one; another one: -e URL=ws://host/ws`;
  if (reason(error) !== 'handshake') return error;
  // k6 does not show what a server that refuses says. It says it again to a plain request with the same headers.
  const headers = { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'MDEyMzQ1Njc4OWFiY2RlZg==', ...(since ? { 'Sec-WebSocket-Protocol': 'sluice.v1' } : {}) };
  const answer = http.get(address(settings, turn, channels, since).replace(/^ws/, 'http'), { headers, timeout: '5s' });
  return `the server is there, and refuses: ${answer.status} ${String(answer.body || '').trim()}. A wrong path? A token that is missing (-e TOKEN=…)?`;
}
