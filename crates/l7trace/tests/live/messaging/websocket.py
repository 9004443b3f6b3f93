"""Speaks WebSocket with a server of its own, and prints every row that must be told of it."""
import asyncio, json
import websockets

MESSAGES = 500


def row(operation, resource, status):
    print(json.dumps([operation, resource, status]))


async def answers(socket, *path):
    try:
        async for message in socket:
            await socket.send(message)
    except websockets.ConnectionClosed:
        # With the code that the client gave.
        pass


async def speaks(port, path, **options):
    async with websockets.connect(f"ws://127.0.0.1:{port}{path}", max_size=None, **options) as socket:
        for i in range(MESSAGES):
            message = f"id {i} " * (i % 40) if i % 3 else bytes([i % 256]) * (i * 11)
            await socket.send(message)
            assert await socket.recv() == message
            for _ in range(2):
                row("text" if i % 3 else "binary", None, None)
        # One of many fragments, a ping between two others.
        await socket.send([f"part {i}" for i in range(20)])
        await socket.recv()
        await (await socket.ping(b"are you there"))
        large = "large " * 500_000
        await socket.send(large)
        assert await socket.recv() == large
        for operation in ["text"] * 4 + ["ping", "pong"]:
            row(operation, None, None)
        await socket.close(4007, "enough")
    row("close", None, "4007")
    row("close", None, "4007")
    row("websocket", path, "4007")


async def main():
    options = {"ping_interval": None, "max_size": None}
    async with websockets.serve(answers, "127.0.0.1", 0, **options) as server:
        port = server.sockets[0].getsockname()[1]
        await asyncio.gather(speaks(port, "/deflate"), speaks(port, "/plain", compression=None))


asyncio.run(main())
