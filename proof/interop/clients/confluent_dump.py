"""confluent-kafka: writes the values of one partition, each behind a line feed, to standard output until COUNT came."""
import sys

from confluent_kafka import Consumer, TopicPartition

server, topic, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
consumer = Consumer({"bootstrap.servers": server, "group.id": "unused", "enable.auto.commit": False})
consumer.assign([TopicPartition(topic, 0, 0)])
received = 0
while received < count:
    records = consumer.consume(10000, 15)
    assert records, (received, count)
    for record in records:
        assert record.error() is None, record.error()
        sys.stdout.buffer.write(record.value() + b"\n")
    received += len(records)
consumer.close()
