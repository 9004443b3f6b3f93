// Speaks HTTP/2 without TLS with a server of its own, and prints every row that must be told of it.
const http2 = require("http2");
const { once } = require("events");

const REQUESTS = 2_000;

function row(operation, resource, status) {
  console.log(JSON.stringify([operation, resource, status]));
}

function serve() {
  const server = http2.createServer({ settings: { enableConnectProtocol: true } });
  server.on("stream", (stream, headers) => {
    const { pathname, searchParams } = new URL(headers[":path"] ?? "/", "http://a");
    stream.on("error", () => {});
    if (headers[":method"] === "CONNECT") {
      stream.respond({ ":status": 200 });
      stream.pipe(stream);
    } else if (pathname === "/push") {
      stream.pushStream({ ":path": "/pushed" }, (_, pushed) => {
        pushed.respond({ ":status": 200 });
        pushed.end("pushed");
      });
      stream.respond({ ":status": 200 });
      stream.end("pushes");
    } else if (pathname === "/reset") {
      stream.close(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM);
    } else if (pathname === "/interim") {
      stream.additionalHeaders({ ":status": 103, link: "</style>; rel=preload" });
      stream.respond({ ":status": 204 }, { endStream: true });
    } else if (pathname === "/trailers") {
      stream.respond({ ":status": 200 }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "x-sum": "7" }));
      stream.end("body");
    } else {
      stream.resume().on("end", () => {
        stream.respond({ ":status": Number(searchParams.get("status") ?? 200), "x-id": headers[":path"] });
        stream.end(Buffer.alloc(Number(searchParams.get("size") ?? 0), "a"));
      });
    }
  });
  return server;
}

async function ask(session, method, path, size = 0) {
  const stream = session.request({ ":method": method, ":path": path });
  stream.on("error", () => {});
  let status;
  stream.on("response", (headers) => (status = headers[":status"]));
  stream.end(size ? Buffer.alloc(size, "b") : undefined);
  stream.resume();
  await new Promise((closed) => stream.on("close", closed));
  return status;
}

async function main() {
  const server = serve();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const session = http2.connect(`http://127.0.0.1:${server.address().port}`);
  session.on("stream", (pushed) => pushed.resume());
  await once(session, "remoteSettings");

  for (const path of ["/push", "/interim", "/trailers"]) row("GET", path, String(await ask(session, "GET", path)));
  row("GET", "/pushed", "200");
  await ask(session, "GET", "/reset");
  row("GET", "/reset", null);
  for (const size of [1, 16_384, 1_000_000]) {
    const path = `/upload?status=201&size=${size}`;
    row("POST", path, String(await ask(session, "POST", path, size)));
  }
  const tunnel = session.request({ ":method": "CONNECT", ":authority": "else.where:443" });
  tunnel.end("through the tunnel");
  await once(tunnel.resume(), "close");
  row("CONNECT", "else.where:443", "200");
  const path = (i) => `/${i}?size=${(i * 37) % 3000}&status=${i % 10 ? 200 : 404}`;
  let next = 0;
  const some = async () => {
    while (next < REQUESTS) {
      const mine = path(next++);
      row("GET", mine, String(await ask(session, "GET", mine)));
    }
  };
  await Promise.all(Array.from({ length: 100 }, some));
  session.close();
  await once(session, "close");
  server.close();
}

main();
