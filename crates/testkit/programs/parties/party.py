"""An HTTP party: `serve PORT`, or `ask METHOD URL BODY_BYTES ...`.

A server answers with `size` bytes and `status` of the query, chunked where it says so, and names the
target in `X-Id`.
"""

import http.client
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        body = b"a" * int(query.get("size", 0))
        self.send_response(int(query.get("status", 200)))
        self.send_header("X-Id", self.path)
        if "chunked" in query:
            self.send_header("Transfer-Encoding", "chunked")
            pieces = [body[at : at + 1000] for at in range(0, len(body), 1000)] + [b""]
            body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = answer


def ask(words):
    connections = {}
    for method, url, size in zip(words[::3], words[1::3], words[2::3]):
        parts = urlsplit(url)
        connection = connections.setdefault(parts.netloc, http.client.HTTPConnection(parts.netloc))
        connection.request(method, f"{parts.path}?{parts.query}", b"b" * int(size) or None)
        connection.getresponse().read()


if sys.argv[1] == "serve":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
else:
    ask(sys.argv[2:])
