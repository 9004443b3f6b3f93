"""Makes calls on one channel before it is traced, and, once told to go on, the same and others."""
import sys
from concurrent import futures
import grpc

HANDLERS = {name: grpc.unary_unary_rpc_method_handler(lambda request, context: request) for name in ["Old", "New"]}
server = grpc.server(futures.ThreadPoolExecutor(8))
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Every", HANDLERS)])
port = server.add_insecure_port("127.0.0.1:0")
server.start()
channel = grpc.insecure_channel(f"127.0.0.1:{port}")
old, new = (channel.unary_unary(f"/test.Every/{name}") for name in ["Old", "New"])
for _ in range(3):
    old(b"\x0a\x01x", metadata=[("said", "before")])
print("ready", flush=True)
sys.stdin.readline()
for _ in range(5):
    old(b"\x0a\x01x", metadata=[("said", "before")])
for _ in range(5):
    new(b"\x0a\x01x", metadata=[("said", "after")])
channel.close()
server.stop(None).wait()
