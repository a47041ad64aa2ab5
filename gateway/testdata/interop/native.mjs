// Node's own WebSocket against PUBLIC, host:port of a node. It takes no
// compressed message that is longer than 4 MiB.
import { exercise } from './exercise.mjs';

await exercise(globalThis.WebSocket, process.env.PUBLIC, 4 << 20, console.log);
process.exit(0);
