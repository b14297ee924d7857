"""confluent-kafka (librdkafka): records of one era of a data directory, and the offsets that a group committed in it.

takeover.py SERVER write ERA        each codec's topic, both partitions, an idempotent producer
takeover.py SERVER commit ERA       offsets of a group of this era
takeover.py SERVER committed ERA    those offsets are still known
"""
import sys

from confluent_kafka import Consumer, Producer, TopicPartition

RECORDS = 400
server, step, era = sys.argv[1:4]

if step == "write":
    errors = []

    def report(error, _):
        if error is not None:
            errors.append(error)

    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        settings = {"enable.idempotence": True, "compression.type": codec, "linger.ms": 20, "batch.num.messages": 50}
        producer = Producer({"bootstrap.servers": server, **settings})
        for index in range(RECORDS):
            for partition in (0, 1):
                value = f"{era} {codec} {partition} {index} {'x' * (index % 90)}"
                producer.produce(f"takeover-{codec}", key=f"key-{index}", value=value, partition=partition,
                                 headers={"era": era}, on_delivery=report)
        assert producer.flush(30) == 0
    assert not errors, errors[:3]

else:
    consumer = Consumer({"bootstrap.servers": server, "group.id": f"group-{era}", "enable.auto.commit": False})
    offsets = [TopicPartition("takeover-none", 0, 123), TopicPartition("takeover-none", 1, len(era))]
    if step == "commit":
        consumer.commit(offsets=offsets, asynchronous=False)
    found = consumer.committed([TopicPartition(part.topic, part.partition) for part in offsets], timeout=30)
    assert [part.offset for part in found] == [part.offset for part in offsets], found
    consumer.close()
print("takeover ok")
