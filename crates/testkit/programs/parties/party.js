// An HTTP party: `serve PORT`, or `ask METHOD URL BODY_BYTES ...`; see party.py.
const http = require("http");
const [, , role, ...words] = process.argv;

function serve(port) {
  http
    .createServer((request, response) => {
      const query = new URL(request.url, "http://a").searchParams;
      const body = Buffer.alloc(Number(query.get("size") || 0), "a");
      request.resume().on("end", () => {
        const headers = { "X-Id": request.url };
        if (!query.get("chunked")) headers["Content-Length"] = body.length;
        response.writeHead(Number(query.get("status") || 200), headers);
        if (query.get("chunked")) {
          for (let at = 0; at < body.length; at += 1000) response.write(body.subarray(at, at + 1000));
        }
        response.end(query.get("chunked") || request.method === "HEAD" ? undefined : body);
      });
    })
    .listen(port, "127.0.0.1");
}

async function ask() {
  for (let at = 0; at < words.length; at += 3) {
    const size = Number(words[at + 2]);
    const body = size ? Buffer.alloc(size, "b") : undefined;
    const response = await fetch(words[at + 1], { method: words[at], body });
    await response.arrayBuffer();
  }
}

if (role === "serve") serve(Number(words[0]));
else ask();
