// centrifuge-js against PUBLIC, host:port of a node, in the encoding named by
// ENCODING. What services do is done through REDIS, the URL of the node's broker.
import { WebSocket } from 'ws';
import { createClient } from 'redis';

const { Centrifuge } = await import(process.env.ENCODING === 'protobuf' ? 'centrifuge/build/protobuf' : 'centrifuge');
const binary = process.env.ENCODING === 'protobuf';
const wire = (value) => (binary ? new TextEncoder().encode(JSON.stringify(value)) : value);
const value = (data) => (binary ? JSON.parse(new TextDecoder().decode(data)) : data);
const check = (ok, what) => {
  if (!ok) throw new Error(what);
};
const once = (emitter, event) => new Promise((resolve) => emitter.once(event, resolve));

const redis = await createClient({ url: process.env.REDIS }).connect();
const service = redis.duplicate(); // it answers calls
await service.connect();
let last = '0';
const inbox = async (type) => {
  for (;;) {
    const streams = await service.xRead({ key: 'sluice:inbox', id: last }, { BLOCK: 1000 });
    for (const { id, message } of streams?.[0].messages ?? []) {
      last = id;
      if (message.type === type) return message;
    }
  }
};

const client = new Centrifuge(`ws://${process.env.PUBLIC}/connection/websocket`, {
  websocket: WebSocket,
  data: wire({ hello: 'node' }),
  timeout: 30000,
  maxReconnectDelay: 200,
});
let connected = once(client, 'connected');
client.connect();
const { client: name } = await connected;
const arrived = await inbox('connect');
check(arrived.conn === name && arrived.data === '{"hello":"node"}', `the inbox has ${JSON.stringify(arrived)}, the client is ${name}`);

const sub = client.newSubscription('chat', { recoverable: true });
const got = [];
let wake = () => {};
sub.on('publication', (ctx) => {
  got.push([value(ctx.data), ctx.offset]);
  wake();
});
const next = async () => {
  while (!got.length) await new Promise((resolve) => (wake = resolve));
  return got.shift();
};
let subscribed = once(sub, 'subscribed');
sub.subscribe();
let ctx = await subscribed;
check(ctx.recoverable && ctx.positioned && !ctx.wasRecovering && ctx.streamPosition.offset > 0, `subscribed with ${JSON.stringify(ctx)}`);

await redis.publish('sluice:chat', '{"a":1}');
let [data, offset] = await next();
check(data.a === 1 && !offset, `got ${JSON.stringify(data)} at ${offset}`);
const durable = async (payload, ...options) => (await redis.fCall('sluice_publish', { keys: ['sluice:chat'], arguments: [payload, ...options] }))[0];
const at = await durable('{"b":2}');
[data, offset] = await next();
check(data.b === 2 && Number(offset) === at, `got ${JSON.stringify(data)} at ${offset}, published at ${at}`);

await sub.publish(wire({ from: 'js' }));
let entry = await inbox('message');
check(entry.data === '{"from":"js"}' && entry.channel === 'chat' && entry.conn === name, `the inbox has ${JSON.stringify(entry)}`);
await client.send(wire('no answer'));
check((await inbox('message')).data === '"no answer"', 'what was sent');

const answer = client.rpc('sum', wire([1, 2]));
entry = await inbox('rpc');
check(entry.method === 'sum' && entry.data === '[1,2]', `the inbox has ${JSON.stringify(entry)}`);
await redis.publish(entry.reply, `${entry.conn}:${entry.call} 3`);
check(value((await answer).data) === 3, 'the answer to a call');

const message = once(client, 'message');
await redis.publish(arrived.reply, `${name} {"for":"you"}`);
check(value((await message).data).for === 'you', 'a message for one connection');

const denied = await client.publish('a b', wire(1)).then(() => null, (e) => e);
check(denied?.code === 102, `publishing to what is no channel: ${JSON.stringify(denied)}`);

// Its own view of a lost connection: what is published meanwhile is recovered.
connected = once(client, 'connected');
subscribed = once(sub, 'subscribed');
client.disconnect();
await durable('{"c":3}');
await durable('{"d":4}');
client.connect();
await connected;
ctx = await subscribed;
check(ctx.wasRecovering && ctx.recovered, `after coming back ${JSON.stringify(ctx)}`);
check((await next())[0].c === 3 && (await next())[0].d === 4, 'what was missed');

const unsubscribed = once(sub, 'unsubscribed');
sub.unsubscribe();
await unsubscribed;
client.disconnect();
console.log('done');
process.exit(0);
