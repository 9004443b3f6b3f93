"""Speaks MQTT with the broker on port 1883 and prints every row that must be told of it."""
import json, socket, struct, threading, time
import paho.mqtt.client as mqtt

BULK = 10_000


def row(operation, resource, status, times=1):
    for _ in range(times):
        print(json.dumps([operation, resource, status]))


def client(name, protocol, **more):
    if hasattr(mqtt, "CallbackAPIVersion"):
        return mqtt.Client(mqtt.CallbackAPIVersion.VERSION1, name, protocol=protocol, **more)
    return mqtt.Client(name, protocol=protocol, **more)


def connected(name, protocol, **more):
    one, ready = client(name, protocol, **more), threading.Event()
    one.on_connect = lambda *_: ready.set()
    one.max_inflight_messages_set(1000)
    one.max_queued_messages_set(0)
    one.connect("127.0.0.1", 1883)
    one.loop_start()
    assert ready.wait(20)
    row("CONNECT", name, "CONNACK")
    return one


def leave(*clients):
    time.sleep(0.3)
    for one in clients:
        one.disconnect()
        one.loop_stop()
        row("DISCONNECT", None, None)


def publish(publisher, subscriber, filter, messages):
    """Publishes (topic, payload, qos) and waits until the subscriber has them all, and every answer came."""
    got, acknowledged, subscribed, done = [], [], threading.Event(), threading.Event()

    def check(*_):
        if len(got) == len(messages) == len(acknowledged):
            done.set()

    subscriber.on_message = lambda *_: (got.append(1), check())
    subscriber.on_subscribe = lambda *_: subscribed.set()
    publisher.on_publish = lambda *_: (acknowledged.append(1), check())
    subscriber.subscribe(filter, qos=2)
    assert subscribed.wait(20)
    row("SUBSCRIBE", filter, "SUBACK")
    for topic, payload, qos in messages:
        publisher.publish(topic, payload, qos)
    assert done.wait(60), (len(got), len(acknowledged))
    for topic, _, qos in messages:
        # The publisher's exchange with the broker, and the broker's with the subscriber.
        row("PUBLISH", topic, [None, "PUBACK", "PUBCOMP"][qos], 2)


for name, protocol in [("v31", mqtt.MQTTv31), ("v311", mqtt.MQTTv311), ("v5", mqtt.MQTTv5)]:
    publisher, subscriber = connected(f"{name}-pub", protocol), connected(f"{name}-sub", protocol)
    messages = [(f"{name}/{qos}/{i}", b"x" * size, qos) for qos in range(3) for i, size in enumerate([0, 1, 200_000])]
    publish(publisher, subscriber, f"{name}/#", messages)
    leave(publisher, subscriber)

publisher, subscriber = connected("bulk-pub", mqtt.MQTTv311), connected("bulk-sub", mqtt.MQTTv5)
publish(publisher, subscriber, "bulk/#", [(f"bulk/{i}", b"y" * (i % 300), 1) for i in range(BULK)])
leave(publisher, subscriber)

# A flow of QoS 2 that breaks off in the middle, and goes on over another connection.
def text(value):
    return struct.pack(">H", len(value)) + value


def packet(kind, body):
    return bytes([kind, len(body)]) + body


def session():
    stream = socket.create_connection(("127.0.0.1", 1883))
    user = text(b"bob") + text(b"never-shown-7")
    stream.sendall(packet(0x10, text(b"MQTT") + b"\x04\xc0\x00\x3c" + text(b"resumes") + user))
    assert stream.recv(4)[3] == 0
    row("CONNECT", "resumes", "CONNACK")
    return stream


stream = session()
stream.sendall(packet(0x34, text(b"q2/broken") + b"\x00\x4d" + b"payload"))
assert stream.recv(4)[0] == 0x50
row("PUBLISH", "q2/broken", None)
stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
stream.close()
stream = session()
stream.sendall(packet(0x62, b"\x00\x4d"))
assert stream.recv(4)[0] == 0x70
row(None, None, "PUBCOMP")
stream.sendall(packet(0xC0, b""))
assert stream.recv(2)[0] == 0xD0
row("PINGREQ", None, "PINGRESP")
stream.close()
