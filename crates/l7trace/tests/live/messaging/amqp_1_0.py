"""Speaks AMQP 1.0 with RabbitMQ, and prints every row that must be told of it."""
import json
from proton import Message
from proton.reactor import AtMostOnce
from proton.utils import BlockingConnection

QUEUE = "/queue/test"
MESSAGES = 300


def row(operation, resource, status):
    print(json.dumps([operation, resource, status]))


connection = BlockingConnection("amqp://guest:guest@127.0.0.1:5672", allowed_mechs="PLAIN", timeout=20)
row("sasl-mechanisms", None, None)
row("sasl-init", "PLAIN", "ok")
row("open", "127.0.0.1", "open")

# Every size up to several frames, each settled by the broker; then some that nobody settles.
sender = connection.create_sender(QUEUE)
row("begin", None, "begin")
row("attach", QUEUE, "attach")
for i in range(MESSAGES):
    size = 400_000 if i == MESSAGES - 1 else i * i % 9_000
    sender.send(Message(id=f"id {i}", properties={"n": i}, body=b"x" * size))
    row("transfer", QUEUE, "accepted")
careless = connection.create_sender(QUEUE, name="careless", options=AtMostOnce())
row("attach", QUEUE, "attach")
for i in range(20):
    careless.send(Message(id=f"careless {i}"))
    row("transfer", QUEUE, None)

receiver = connection.create_receiver(QUEUE, credit=MESSAGES + 20)
row("attach", QUEUE, "attach")
for i in range(MESSAGES + 20):
    message = receiver.receive(timeout=20)
    if i % 50 == 7:
        receiver.reject()
        row("transfer", QUEUE, "rejected")
    else:
        receiver.accept()
        row("transfer", QUEUE, "accepted")
connection.close()
row("close", None, "close")
