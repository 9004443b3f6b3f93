// Speaks AMQP 0-9-1 with the broker on port 5672 and prints every row that must be told of it.
const amqp = require("amqplib");

const PUBLISHES = 1_000;

function row(operation, resource = null, status = null, times = 1) {
  for (let i = 0; i < times; i++) console.log(JSON.stringify([operation, resource, status]));
}

function asked(operation, resource = null, times = 1) {
  row(operation, resource, `${operation}-ok`, times);
}

async function main() {
  const connection = await amqp.connect("amqp://guest:guest@127.0.0.1:5672");
  for (const method of ["connection.start", "connection.tune", "connection.open"]) asked(method);
  connection.on("error", () => {});

  // Confirms that come in batches, of bodies from nothing to many frames.
  const confirmed = await connection.createConfirmChannel();
  asked("channel.open");
  asked("confirm.select");
  await confirmed.assertExchange("news", "topic", { durable: false, arguments: { "x-kind": "a test", nested: { a: [1, 2.5, true] } } });
  asked("exchange.declare", "news");
  await confirmed.assertQueue("node", { exclusive: true });
  asked("queue.declare", "node");
  await confirmed.bindQueue("node", "news", "node.#");
  asked("queue.bind", "node");
  for (let i = 0; i < PUBLISHES; i++) {
    const headers = { number: i, when: new Date(0), list: ["a", null, 1 << 20] };
    confirmed.publish("news", `node.${i}`, Buffer.alloc((i * i * 13) % 60_000, i), { headers, messageId: `id-${i}` });
    row("basic.publish", `news/node.${i}`, "basic.ack");
  }
  await confirmed.waitForConfirms();
  const returned = new Promise((one) => confirmed.on("return", one));
  confirmed.publish("news", "nobody", Buffer.from("back"), { mandatory: true });
  await Promise.all([returned, confirmed.waitForConfirms()]);
  row("basic.publish", "news/nobody", "basic.ack");
  row("basic.return", "news/nobody");

  // A consumer that acknowledges seven at once, and gives one back.
  const channel = await connection.createChannel();
  asked("channel.open");
  await channel.prefetch(70);
  asked("basic.qos");
  await new Promise((done) => {
    let seen = 0;
    channel.consume("node", (message) => {
      seen += 1;
      row("basic.deliver", `news/${message.fields.routingKey}`, seen === PUBLISHES ? "basic.nack" : "basic.ack");
      if (seen === PUBLISHES) channel.nack(message, false, false);
      else if (seen % 7 === 0 || seen === PUBLISHES - 1) channel.ack(message, true);
      if (seen === PUBLISHES) done();
    }, { consumerTag: "eats" });
  });
  asked("basic.consume", "node");
  await channel.cancel("eats");
  asked("basic.cancel");
  channel.sendToQueue("node", Buffer.from("unconfirmed"));
  row("basic.publish", "node");
  let one = await channel.get("node");
  while (!one) {
    row("basic.get", "node", "basic.get-empty");
    one = await channel.get("node");
  }
  asked("basic.get", "node");
  channel.reject(one, false);
  row("basic.get", "node", "basic.reject");
  await channel.purgeQueue("node");
  asked("queue.purge", "node");
  await channel.deleteQueue("node");
  asked("queue.delete", "node");

  // A channel that the broker closes.
  const doomed = await connection.createChannel();
  asked("channel.open");
  doomed.on("error", () => {});
  await doomed.checkQueue("missing").catch(() => {});
  row("queue.declare", "missing", "404");
  asked("channel.close");

  await channel.close();
  await confirmed.close();
  asked("channel.close", null, 2);
  await connection.close();
  asked("connection.close");
}

main();
