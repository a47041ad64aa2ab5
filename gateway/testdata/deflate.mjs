// A client of the npm package ws: node deflate.mjs URL. It prints what was agreed
// on, then each message's type, length and hash, and sends each one back. "bye"
// ends it.
import { createHash } from "node:crypto";
import WebSocket from "ws";

const ws = new WebSocket(process.argv[2], { perMessageDeflate: { threshold: 0 } });
ws.on("open", () => console.log(`open ${ws.extensions}`));
ws.on("message", (data, isBinary) => {
  console.log(isBinary ? "binary" : "text", data.length, createHash("sha256").update(data).digest("hex"));
  if (data.toString() === "bye") {
    ws.close(4001);
  } else {
    ws.send(data, { binary: isBinary });
  }
});
ws.on("error", (error) => {
  console.error(error);
  process.exitCode = 1;
});
