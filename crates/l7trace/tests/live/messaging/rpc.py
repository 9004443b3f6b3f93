"""Calls a gRPC server of its own in every way, and prints every row that must be told of it."""
import json
from concurrent import futures
import grpc

CALLS = 1_000


def row(method, status):
    print(json.dumps(["call", f"/test.Every/{method}", status]))


def text(value):
    """A message of one string, as protobuf writes it."""
    value = value.encode()
    length, front = len(value), b""
    while length > 127:
        front += bytes([length & 127 | 128])
        length >>= 7
    return b"\x0a" + front + bytes([length]) + value


def fails(request, context):
    context.set_trailing_metadata([("reason-bin", b"\x00\x01")])
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not in March: 100 % no, näh")


HANDLERS = {
    "Unary": grpc.unary_unary_rpc_method_handler(lambda request, context: request),
    "Fails": grpc.unary_unary_rpc_method_handler(fails),
    "Collects": grpc.stream_unary_rpc_method_handler(lambda requests, context: b"".join(requests)),
    "Spreads": grpc.unary_stream_rpc_method_handler(lambda request, context: (request for _ in range(50))),
    "Answers": grpc.stream_stream_rpc_method_handler(lambda requests, context: (request for request in requests)),
}
server = grpc.server(futures.ThreadPoolExecutor(8), compression=grpc.Compression.Gzip)
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Every", HANDLERS)])
port = server.add_insecure_port("127.0.0.1:0")
server.start()

channel = grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.max_receive_message_length", 1 << 26)])
unary = channel.unary_unary("/test.Every/Unary")
for size in [0, 1, 100, 20_000, 3_000_000]:
    unary(text("x" * size))
    row("Unary", "OK")
unary(text("z" * 5_000), compression=grpc.Compression.Gzip)
row("Unary", "OK")
unary(text("meta"), metadata=[(f"key-{i}", "v" * 200) for i in range(30)])
row("Unary", "OK")
for method in ["Fails", "Unknown"]:
    try:
        channel.unary_unary(f"/test.Every/{method}")(text("?"))
    except grpc.RpcError as error:
        row(method, error.code().name)
channel.stream_unary("/test.Every/Collects")(text(str(i)) for i in range(30))
row("Collects", "OK")
assert len(list(channel.unary_stream("/test.Every/Spreads")(text("a")))) == 50
row("Spreads", "OK")
assert len(list(channel.stream_stream("/test.Every/Answers")(text(str(i)) for i in range(30)))) == 30
row("Answers", "OK")
with futures.ThreadPoolExecutor(16) as pool:
    for i, answer in enumerate(pool.map(unary, (text(f"id {i}") for i in range(CALLS)))):
        assert answer == text(f"id {i}")
        row("Unary", "OK")
channel.close()
server.stop(None).wait()
