"""confluent-kafka (librdkafka): writes numbers until its standard input ends, and prints those that were acknowledged.

acknowledged.py SERVER TOPIC: one idempotent producer with acks=all, to partitions 0 and 1 in turn; a line for each
acknowledged record, `PARTITION OFFSET VALUE`, in the order of the acknowledgements.
"""
import sys
import threading
import time

from confluent_kafka import Producer

server, topic = sys.argv[1:3]
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
acknowledged = []


def report(error, message):
    assert error is None, error
    acknowledged.append(f"{message.partition()} {message.offset()} {message.value().decode()}")


producer = Producer({
    "bootstrap.servers": server,
    "acks": "all",
    "enable.idempotence": True,
    "linger.ms": 1,
    "reconnect.backoff.ms": 20,
    "reconnect.backoff.max.ms": 200,
    "batch.num.messages": 200,
    "queue.buffering.max.messages": 2000,
})
# Asking creates it; a broker that has just started may not know itself yet.
while len(producer.list_topics(topic, timeout=10).topics[topic].partitions) < 2:
    time.sleep(0.05)
number = 0
while not over.is_set():
    try:
        producer.produce(topic, value=str(number), partition=number % 2, on_delivery=report)
        number += 1
    except BufferError:
        producer.poll(0.01)
    producer.poll(0)
assert producer.flush(60) == 0
assert len(acknowledged) == number, (len(acknowledged), number)
print("\n".join(acknowledged))
