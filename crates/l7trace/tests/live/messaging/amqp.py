"""Speaks AMQP 0-9-1 with the broker on port 5672 and prints every row that must be told of it."""
import json, os
import pika
from pika.exceptions import ChannelClosedByBroker, NackError, UnroutableError


def row(operation, resource=None, status=None, times=1):
    for _ in range(times):
        print(json.dumps([operation, resource, status]))


def asked(operation, resource=None, times=1):
    row(operation, resource, f"{operation}-ok", times)


def opened(connection):
    asked("channel.open")
    return connection.channel()


def declared(channel, queue, **more):
    asked("queue.declare", queue)
    channel.queue_declare(queue, **more)


connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", 5672))
for method in ["connection.start", "connection.tune", "connection.open"]:
    asked(method)
plain, confirmed = opened(connection), opened(connection)
confirmed.confirm_delivery()
asked("confirm.select")
declared(plain, "work")
declared(plain, "small", arguments={"x-max-length": 0, "x-overflow": "reject-publish"})

# Confirms, refused ones and returned ones.
for i in range(500):
    confirmed.basic_publish("", "work", f"confirmed {i}".encode(), pika.BasicProperties(message_id=str(i)))
row("basic.publish", "work", "basic.ack", 500)
for _ in range(3):
    try:
        confirmed.basic_publish("", "small", b"too much")
        row("basic.publish", "small", "basic.ack")
    except NackError:
        row("basic.publish", "small", "basic.nack")
try:
    confirmed.basic_publish("", "nowhere", b"lost", mandatory=True)
except UnroutableError:
    row("basic.publish", "nowhere", "basic.ack")
    row("basic.return", "nowhere")
big = os.urandom(1 << 20)
confirmed.basic_publish("", "work", big)
row("basic.publish", "work", "basic.ack")

# Deliveries, acknowledged ten at a time; a nack, a reject.
channel = opened(connection)
channel.basic_qos(prefetch_count=50)
asked("basic.qos")
seen = []


def deliver(channel, method, _, body):
    seen.append(body)
    if len(seen) == 501:
        assert body == big
        channel.basic_reject(method.delivery_tag, requeue=False)
        row("basic.deliver", "work", "basic.reject")
        channel.stop_consuming()
    elif len(seen) == 500:
        channel.basic_nack(method.delivery_tag, multiple=True, requeue=False)
        row("basic.deliver", "work", "basic.nack", 10)
    elif len(seen) % 10 == 0:
        channel.basic_ack(method.delivery_tag, multiple=True)
        row("basic.deliver", "work", "basic.ack", 10)


channel.basic_consume("work", deliver, consumer_tag="consumer")
asked("basic.consume", "work")
channel.start_consuming()
asked("basic.cancel")
assert len(seen) == 501

# Taken one by one.
plain.basic_publish("", "work", b"one")
row("basic.publish", "work")
while True:
    method, _, _ = channel.basic_get("work")
    if method:
        break
    row("basic.get", "work", "basic.get-empty")
asked("basic.get", "work")
channel.basic_ack(method.delivery_tag)
row("basic.get", "work", "basic.ack")
assert channel.basic_get("work") == (None, None, None)
row("basic.get", "work", "basic.get-empty")

# Many channels, a transaction, an error.
many = [opened(connection) for _ in range(100)]
for one in many:
    one.confirm_delivery()
    one.basic_publish("", "work", b"each")
    one.close()
asked("confirm.select", times=100)
row("basic.publish", "work", "basic.ack", 100)
asked("channel.close", times=100)
channel = opened(connection)
for method in [channel.tx_select, channel.tx_commit, channel.tx_rollback]:
    method()
    asked(method.__name__.replace("_", "."))
try:
    channel.queue_declare("missing", passive=True)
except ChannelClosedByBroker as error:
    assert error.reply_code == 404
    row("queue.declare", "missing", "404")
    asked("channel.close")
# The client closes what is open: it was not closed for good above.
still = sum(1 for one in (plain, confirmed) if one.is_open) + 1
asked("channel.close", times=still)
connection.close()
asked("connection.close")
