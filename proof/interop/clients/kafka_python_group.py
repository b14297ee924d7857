"""kafka-python: two members of a group share a topic's partitions; `read` goes on where the group committed."""
import sys
import threading
import time

from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic

server, topic, phase = sys.argv[1], sys.argv[2], sys.argv[3]


def member():
    return KafkaConsumer(
        topic,
        bootstrap_servers=server,
        group_id="group-of-" + topic,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=10000,
    )


class Member(threading.Thread):
    """Polls in a thread of its own: to join a group, a member waits for the others."""

    def __init__(self):
        super().__init__(daemon=True)
        self.consumer = member()
        self.values, self.share, self.done = [], set(), threading.Event()
        self.start()

    def run(self):
        while not self.done.is_set():
            for records in self.consumer.poll(timeout_ms=200).values():
                self.values += [record.value for record in records]
            self.share = self.consumer.assignment()
        self.consumer.commit()
        self.consumer.close()


def wait_until(condition, describe):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, describe()
        time.sleep(0.05)


def produce(first, last):
    producer = KafkaProducer(bootstrap_servers=server, acks="all")
    for number in range(first, last):
        producer.send(topic, value=b"%05d" % number, partition=number % 4)
    producer.flush()
    producer.close()
    return [b"%05d" % number for number in range(first, last)]


if phase == "balance":
    admin = KafkaAdminClient(bootstrap_servers=server)
    admin.create_topics([NewTopic(topic, 4, 1)])
    admin.close()
    members = [Member(), Member()]
    wait_until(lambda: [len(one.share) for one in members] == [2, 2], lambda: [one.share for one in members])
    shares = [one.share for one in members]
    assert not shares[0] & shares[1], shares
    sent = produce(0, 400)
else:
    sent = produce(400, 500)
    members = [Member()]
read = lambda: sorted(value for one in members for value in one.values)
wait_until(lambda: len(read()) >= len(sent), lambda: (len(read()), len(sent)))
assert read() == sent, "each record comes once, and what was committed does not come again"
for one in members:
    one.done.set()
for one in members:
    one.join(30)
    assert not one.is_alive()
print("group ok")
