// npm's ws against PUBLIC, host:port of a node: with and without
// permessage-deflate, and what the browsers' API does not have.
import { WebSocket } from 'ws';
import { once } from 'node:events';
import { exercise } from './exercise.mjs';

const host = process.env.PUBLIC;

for (const perMessageDeflate of [false, true]) {
  const ws = new WebSocket(`ws://${host}/echo`, { perMessageDeflate });
  await once(ws, 'open');
  if (ws.extensions.includes('permessage-deflate') !== perMessageDeflate) throw new Error(`agreed on "${ws.extensions}"`);
  ws.send('in ', { fin: false });
  ws.send('three ', { fin: false });
  ws.send('parts', { fin: true });
  const [data, isBinary] = await once(ws, 'message');
  if (isBinary || data.toString() !== 'in three parts') throw new Error(`fragments came back as ${data}`);
  const long = Buffer.alloc(16 << 20, 'compressible ');
  ws.send(long);
  const [back] = await once(ws, 'message');
  if (!long.equals(back)) throw new Error(`${long.length} bytes came back as ${back.length}`);
  ws.ping('are you there?');
  const [pong] = await once(ws, 'pong');
  if (pong.toString() !== 'are you there?') throw new Error(`the pong was ${pong}`);
  ws.close(4321, 'until tomorrow');
  const [code] = await once(ws, 'close');
  if (code !== 4321) throw new Error(`closed with ${code}`);
}
await exercise(WebSocket, host, 16 << 20, console.log);
process.exit(0);
