// Speaks MQTT with the broker on port 1883, and on 9001 over WebSocket, and prints every row that must be told of it.
const mqtt = require("mqtt");

const PUBLISHES = 500;
const ANSWERS = [null, "PUBACK", "PUBCOMP"];

function row(operation, resource, status, times = 1) {
  for (let i = 0; i < times; i++) console.log(JSON.stringify([operation, resource, status]));
}

async function connected(url, clientId, options) {
  const client = await mqtt.connectAsync(url, { clientId, reconnectPeriod: 0, ...options });
  row("CONNECT", clientId, "CONNACK");
  return client;
}

async function left(client) {
  await client.endAsync();
  row("DISCONNECT", null, null);
}

async function subscribed(client, filter, options) {
  await client.subscribeAsync(filter, options);
  row("SUBSCRIBE", filter, "SUBACK");
}

function received(client, count) {
  return new Promise((all) => client.on("message", () => --count === 0 && all()));
}

async function speaks(url, name, options) {
  const publisher = await connected(url, `${name}-pub`, options);
  const subscriber = await connected(url, `${name}-sub`, options);
  await subscribed(subscriber, `${name}/#`, { qos: 2 });
  const all = received(subscriber, PUBLISHES);
  const publishes = [];
  for (let i = 0; i < PUBLISHES; i++) {
    const topic = `${name}/${i}`;
    publishes.push(publisher.publishAsync(topic, "x".repeat((i * 97) % 5000), { qos: i % 3 }));
    row("PUBLISH", topic, ANSWERS[i % 3], 2);
  }
  await Promise.all([all, ...publishes]);
  // The last answers are the subscriber's.
  await new Promise((later) => setTimeout(later, 300));
  await subscriber.unsubscribeAsync(`${name}/#`);
  row("UNSUBSCRIBE", `${name}/#`, "UNSUBACK");
  await left(publisher);
  await left(subscriber);
}

// Aliases, a retained message, a shared subscription, a will that comes true.
async function five(url) {
  const options = { protocolVersion: 5, autoAssignTopicAlias: true, properties: { topicAliasMaximum: 5 } };
  const will = { topic: "five/will", payload: "gone", qos: 1 };
  const publisher = await connected(url, "five-pub", options);
  const doomed = await connected(url, "five-doomed", { protocolVersion: 5, will, keepalive: 0 });
  const watcher = await connected(url, "five-watcher", { protocolVersion: 5, properties: { topicAliasMaximum: 5 } });
  await publisher.publishAsync("five/retained", "still here", { qos: 1, retain: true });
  row("PUBLISH", "five/retained", "PUBACK");
  const said = received(watcher, 1 + 20 + 1);
  await subscribed(watcher, "five/#", { qos: 1 });
  row("PUBLISH", "five/retained", "PUBACK");
  for (let i = 0; i < 20; i++) {
    await publisher.publishAsync("five/aliased", `number ${i}`, { qos: 1, properties: { userProperties: { i: `${i}` } } });
    row("PUBLISH", "five/aliased", "PUBACK", 2);
  }
  doomed.stream.destroy();
  await said;
  row("PUBLISH", "five/will", "PUBACK");
  const workers = [await connected(url, "five-one", options), await connected(url, "five-two", options)];
  let shares = 10;
  const done = new Promise((all) => workers.forEach((one) => one.on("message", () => --shares === 0 && all())));
  for (const worker of workers) await subscribed(worker, "$share/group/work", { qos: 1 });
  for (let i = 0; i < 10; i++) await publisher.publishAsync("work", `task ${i}`, { qos: 1 });
  row("PUBLISH", "work", "PUBACK", 20);
  await done;
  await publisher.publishAsync("five/retained", "", { qos: 1, retain: true });
  row("PUBLISH", "five/retained", "PUBACK", 2);
  await new Promise((later) => setTimeout(later, 300));
  for (const client of [publisher, watcher, ...workers]) await left(client);
}

async function main() {
  await speaks("mqtt://127.0.0.1:1883", "tcp4", { protocolVersion: 4, username: "bob", password: "never-shown-7" });
  await speaks("mqtt://127.0.0.1:1883", "tcp5", { protocolVersion: 5 });
  await speaks("ws://127.0.0.1:9001", "ws4", { protocolVersion: 4 });
  await speaks("ws://127.0.0.1:9001", "ws5", { protocolVersion: 5, username: "bob", password: "never-shown-7" });
  await five("mqtt://127.0.0.1:1883");
}

main();
