import { WebSocket } from 'k6/websockets';
import { now } from './clock.js';
import { count, share, time } from './figures.js';
import { address, quiet, reason, reasons } from './target.js';

// handshakes are the figures that open needs.
export const handshakes = (...limits) => ({
  connected: share('connections that opened', 'rate==1'),
  handshake: time('from dialling to open (subscribed)', ...limits),
  failed: { ...count('connections that did not open'), by: 'reason', values: reasons },
});

// open dials, counts how that went, and calls what it is given of opened(ws, at),
// message(data, at, ws) and closed({ code, reason, asked, opened }); times are in milliseconds.
// asked is whether it was this side that closed, with the function close of what open returns.
export function open({ settings, f, turn, channels, since, protocol = null, tags = {}, opened, message, closed }) {
  const begun = now(), state = { asked: false, opened: false };
  const ws = new WebSocket(address(settings, turn, channels, since), protocol, quiet);
  ws.onopen = (e) => {
    state.opened = true;
    f.connected.add(true);
    f.handshake.add(e.timestamp - begun, tags);
    if (opened) opened(ws, e.timestamp);
  };
  ws.onmessage = (e) => {
    if (message) message(e.data, e.timestamp, ws);
  };
  ws.onerror = (e) => {
    if (state.opened) return;
    f.connected.add(false);
    f.failed.add(1, { reason: reason(e.error) });
  };
  ws.onclose = (e) => closed({ code: e.code, reason: e.reason, ...state });
  state.close = () => {
    state.asked = true;
    ws.close();
  };
  return { ws, close: state.close };
}
