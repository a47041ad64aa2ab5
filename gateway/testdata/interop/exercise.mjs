// What a client with the WebSocket API of browsers does to /echo and to a channel
// of a node. It runs in Node and in a page: it uses nothing but its arguments.
// largest is the longest message in bytes. It throws at the first difference.
export async function exercise(WebSocket, host, largest, say) {
  const open = (path) =>
    new Promise((resolve, reject) => {
      const ws = new WebSocket(`ws://${host}${path}`);
      ws.binaryType = 'arraybuffer';
      const messages = [];
      let got = null; // who waits for the next message
      ws.onmessage = (e) => (got ? got(e.data) : messages.push(e.data));
      ws.ended = new Promise((ended) => (ws.onclose = ended));
      const lost = ws.ended.then((e) => {
        throw new Error(`${path} ended with ${e.code} ${e.reason}`);
      });
      lost.catch(() => {}); // nobody may be waiting
      ws.next = async () => {
        if (messages.length) return messages.shift();
        const message = await Promise.race([lost, new Promise((resolve) => (got = resolve))]);
        got = null;
        return message;
      };
      ws.onopen = () => resolve(ws);
      ws.onerror = (e) => reject(new Error(`${path}: ${e.message ?? 'failed'}`));
    });
  const check = (ok, what) => {
    if (!ok) throw new Error(what);
  };

  const echo = await open('/echo');
  for (const text of ['', 'grüß Gott, 😀', 'compressible '.repeat(10000)]) {
    echo.send(text);
    check((await echo.next()) === text, `text of ${text.length}`);
  }
  for (const size of [0, 4, largest]) {
    const sent = new Uint8Array(size).map((_, i) => (i * 7) & 255);
    echo.send(sent);
    const got = new Uint8Array(await echo.next());
    check(got.length === size && sent.every((b, i) => b === got[i]), `binary of ${size}`);
  }
  echo.close(4321, 'until tomorrow');
  const end = await echo.ended;
  check(end.wasClean && end.code === 4321, `closed with ${end.code}, clean: ${end.wasClean}`);

  const channel = await open('/ws?channel=news');
  say('subscribed');
  check((await channel.next()) === 'to all', 'what was published');
  channel.close(1000);
  check((await channel.ended).wasClean, 'the end of the channel');
  return echo.extensions;
}
