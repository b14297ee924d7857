"""confluent-kafka (librdkafka): an idempotent producer with each codec, read back by offset."""
import sys

from confluent_kafka import Consumer, Producer, TopicPartition

server, topic = sys.argv[1], sys.argv[2]
errors, sent = [], []
for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
    producer = Producer({"bootstrap.servers": server, "enable.idempotence": True, "compression.type": codec, "linger.ms": 5})
    for index in range(1000):
        value = f"{codec}-{index}".encode()
        sent.append(value)
        producer.produce(topic, value=value, partition=0, on_delivery=lambda error, _: error and errors.append(error))
    assert producer.flush(30) == 0
assert not errors, errors
consumer = Consumer({"bootstrap.servers": server, "group.id": "unused", "enable.auto.commit": False})
consumer.assign([TopicPartition(topic, 0, 0)])
received = []
while len(received) < len(sent):
    record = consumer.poll(15)
    assert record is not None, (len(received), len(sent))
    assert record.error() is None, record.error()
    received.append(record.value())
assert received == sent
consumer.close()
print("confluent-kafka ok")
