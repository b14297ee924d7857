"""kafka-python: two members of a group share a topic's partitions; `read` goes on where the group committed."""
import sys
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


def read(members, wanted):
    values = []
    deadline = time.monotonic() + 60
    while len(values) < wanted:
        assert time.monotonic() < deadline, (len(values), wanted)
        for one in members:
            for records in one.poll(timeout_ms=200).values():
                values += [record.value for record in records]
    for one in members:
        one.commit()
    return sorted(values)


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
    members = [member(), member()]
    deadline = time.monotonic() + 60
    while [len(one.assignment()) for one in members] != [2, 2]:
        assert time.monotonic() < deadline, [one.assignment() for one in members]
        for one in members:
            one.poll(timeout_ms=200)
    shares = [one.assignment() for one in members]
    assert not shares[0] & shares[1], shares
    sent = produce(0, 400)
    assert read(members, 400) == sent
    for one in members:
        one.close()
else:
    sent = produce(400, 500)
    one = member()
    assert read([one], 100) == sent, "only what was not committed comes again"
    one.close()
print("group ok")
