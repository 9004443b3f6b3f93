// Speaks WebSocket with a server of its own, and prints every row that must be told of it.
const { once } = require("events");
const { WebSocket, WebSocketServer } = require("ws");

const MESSAGES = 300;

function row(operation, resource, status) {
  console.log(JSON.stringify([operation, resource, status]));
}

async function speaks(port, path, options) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, ["chat.v2", "chat.v1"], options);
  await once(socket, "open");
  // Without waiting for answers: many messages in one segment, and one in many.
  let answers = 0;
  const all = new Promise((done) => socket.on("message", () => ++answers === MESSAGES && done()));
  for (let i = 0; i < MESSAGES; i++) {
    const binary = i % 4 === 0;
    socket.send(binary ? Buffer.alloc(i * 17, i) : `id ${i} `.repeat(i % 50), { binary, compress: i % 5 !== 0 });
    for (let end = 0; end < 2; end++) row(binary ? "binary" : "text", null, null);
  }
  await all;
  // One of fragments with a ping between them, then one that no segment holds.
  const part = (text, fin) => socket.send(text, { fin });
  part("one ", false);
  part("two ", false);
  socket.ping("still there?");
  part("three", true);
  await Promise.all([once(socket, "pong"), once(socket, "message")]);
  socket.send("ä€😀".repeat(200_000));
  await once(socket, "message");
  for (const operation of ["text", "text", "text", "text", "ping", "pong"]) row(operation, null, null);
  socket.close(4321, "that is all");
  await once(socket, "close");
  row("close", null, "4321");
  row("close", null, "4321");
  row("websocket", path, "4321");
}

// The server goes away without a word: no close is told, for nobody said one.
async function breaks(port) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/breaks`);
  await once(socket, "open");
  socket.send("end");
  row("text", null, null);
  await once(socket, "close");
  row("websocket", "/breaks", null);
}

async function refused(port) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/refused`);
  await once(socket, "error");
}

async function main() {
  const deflate = { threshold: 0, serverNoContextTakeover: true, clientMaxWindowBits: 10 };
  const accepts = ({ req }) => req.url !== "/refused";
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: deflate, verifyClient: accepts });
  server.on("connection", (socket, request) => {
    socket.on("message", (data, binary) => {
      if (request.url === "/breaks") socket.terminate();
      else socket.send(data, { binary });
    });
  });
  await once(server, "listening");
  const { port } = server.address();
  await Promise.all([
    speaks(port, "/deflate", { perMessageDeflate: { threshold: 0 } }),
    speaks(port, "/plain", { perMessageDeflate: false }),
    breaks(port),
    refused(port),
  ]);
  server.close();
}

main();
