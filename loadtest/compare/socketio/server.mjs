// Socket.IO with its Redis adapter, tuned as its documentation says: the native helpers of ws (bufferutil, utf-8-validate) are
// installed, the first HTTP request is let go, and neither polling nor compression is on. A client joins the room that it
// names when it connects; what is sent to the event "echo" comes back.
//
//   node server.mjs HOST:PORT redis://HOST:PORT PING_MS
import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const [listen, redis, ping] = process.argv.slice(2);
const [host, port] = listen.split(":");
const publisher = createClient({ url: redis });
const subscriber = publisher.duplicate();
for (const client of [publisher, subscriber]) {
  client.on("error", (error) => {
    console.error("Redis:", error.message);
    process.exit(1);
  });
  await client.connect();
}

const server = createServer();
const io = new Server(server, {
  adapter: createAdapter(publisher, subscriber),
  transports: ["websocket"],
  perMessageDeflate: false,
  serveClient: false,
  pingInterval: Number(ping),
});
io.engine.on("connection", (raw) => {
  raw.request = null;
});
io.on("connection", (socket) => {
  const { room } = socket.handshake.auth;
  if (room) {
    socket.join(room);
  }
  socket.on("echo", (payload) => socket.emit("echo", payload));
});
server.listen({ host, port: Number(port), backlog: 4096 });
