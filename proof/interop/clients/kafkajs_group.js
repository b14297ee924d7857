// kafkajs: makes a topic, produces with keys, consumes in a group, and a second member of the group goes on where the first
// committed.
const assert = require("node:assert");
const { Kafka, logLevel } = require("kafkajs");

const [broker, topic] = process.argv.slice(2);
const kafka = new Kafka({ clientId: "interop", brokers: [broker], logLevel: logLevel.ERROR });

async function consume(count) {
  const consumer = kafka.consumer({ groupId: `group-of-${topic}` });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  const values = [];
  await new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`${values.length} of ${count} records came`)), 60000).unref();
    consumer.run({
      eachMessage: async ({ message }) => {
        values.push(message.value.toString());
        if (values.length === count) resolve();
      },
    });
  });
  await consumer.stop();
  await consumer.disconnect();
  return values.sort();
}

async function main() {
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic, numPartitions: 3 }], waitForLeaders: true });
  await admin.disconnect();
  const producer = kafka.producer();
  await producer.connect();
  const messages = (from, to) =>
    Array.from({ length: to - from }, (_, index) => ({ key: `k${from + index}`, value: `v${from + index}` }));
  const values = (from, to) => messages(from, to).map((message) => message.value).sort();
  await producer.send({ topic, messages: messages(0, 300) });
  assert.deepStrictEqual(await consume(300), values(0, 300));
  await producer.send({ topic, messages: messages(300, 310) });
  assert.deepStrictEqual(await consume(10), values(300, 310));
  await producer.disconnect();
  console.log("kafkajs ok");
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
