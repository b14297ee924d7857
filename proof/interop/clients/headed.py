"""confluent-kafka: records with all kinds of headers, keys and values, for the console consumer's columns."""
import struct
import sys
import uuid

from confluent_kafka import Producer

server, topic = sys.argv[1], sys.argv[2]
producer = Producer({"bootstrap.servers": server})
records = [
    ("key", b"one header", [("a", b"1")]),
    ("key", b"three headers", [("a", b"1"), ("b", None), ("a", b"")]),
    (None, b"no header", None),
    ("key", None, [("a", b"1")]),
    (struct.pack(">i", 7), struct.pack(">q", -7), [("n", struct.pack(">q", 9))]),
    (struct.pack(">h", 3), struct.pack(">d", 1234.5), None),
    (b"\x00\\\xff", struct.pack(">f", 1e10), None),
    (None, str(uuid.UUID(int=5)).encode(), None),
]
for key, value, headers in records:
    producer.produce(topic, key=key, value=value, headers=headers, partition=0)
    assert producer.flush(30) == 0
