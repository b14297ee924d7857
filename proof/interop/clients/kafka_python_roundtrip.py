"""kafka-python: produces with keys and each codec it has, and reads everything back in order."""
import sys

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

server, topic = sys.argv[1], sys.argv[2]
sent = []
for codec in (None, "gzip"):
    producer = KafkaProducer(bootstrap_servers=server, compression_type=codec, acks="all")
    for index in range(500):
        value = b"%s-%d" % (str(codec).encode(), index)
        metadata = producer.send(topic, key=b"k%d" % index, value=value, partition=0).get(30)
        sent.append((metadata.offset, b"k%d" % index, value))
    producer.close()
consumer = KafkaConsumer(bootstrap_servers=server, consumer_timeout_ms=10000, auto_offset_reset="earliest")
consumer.assign([TopicPartition(topic, 0)])
consumer.seek_to_beginning()
received = []
for record in consumer:
    received.append((record.offset, record.key, record.value))
    if len(received) == len(sent):
        break
assert received == sent, (len(received), len(sent))
consumer.close()
print("kafka-python ok")
