"""confluent-kafka: members of a group with names of their own (group.instance.id, KIP-345)."""
import sys
import time

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

server, topic = sys.argv[1], sys.argv[2]
SESSION_SECONDS = 6


class Member:
    def __init__(self, instance):
        self.share, self.assigned, self.revoked, self.fatal = set(), 0, 0, None
        self.consumer = Consumer(
            {
                "bootstrap.servers": server,
                "group.id": "static-" + topic,
                "group.instance.id": instance,
                "session.timeout.ms": SESSION_SECONDS * 1000,
                "heartbeat.interval.ms": 500,
                "auto.offset.reset": "earliest",
                "error_cb": self.on_error,
            }
        )
        self.consumer.subscribe([topic], on_assign=self.on_assign, on_revoke=self.on_revoke)

    def on_error(self, error):
        if error.fatal() or error.code() == KafkaError._FATAL:
            self.fatal = error

    def on_assign(self, _, partitions):
        self.assigned += 1
        self.share = {one.partition for one in partitions}

    def on_revoke(self, _, __):
        self.revoked += 1
        self.share = set()

    def poll(self):
        try:
            message = self.consumer.poll(0.02)
        except KafkaException as exception:
            self.on_error(exception.args[0])
            return
        if message is not None and message.error():
            self.on_error(message.error())

    def close(self):
        # One with a name does not leave its group by closing.
        self.consumer.close()


def poll_until(members, condition, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, (what, [(one.share, one.assigned, one.fatal) for one in members])
        for one in members:
            one.poll()


admin = AdminClient({"bootstrap.servers": server})
for made in admin.create_topics([NewTopic(topic, 4, 1)]).values():
    made.result(30)

first, second = Member("first"), Member("second")
both = [first, second]
poll_until(both, lambda: [len(one.share) for one in both] == [2, 2], "the topic is shared")
shares, calls = (first.share, second.share), (second.assigned, second.revoked)

# Each of the two, one of which leads the group, goes away and comes back within its session.
for index in (0, 1):
    other = both[1 - index]
    calls = (other.assigned, other.revoked)
    both[index].close()
    both[index] = Member(["first", "second"][index])
    back = both[index]
    poll_until(both, lambda: back.share == shares[index], "what was a member's is its own again")
    until = time.monotonic() + 2
    poll_until(both, lambda: time.monotonic() > until, "heartbeats")
    assert (other.assigned, other.revoked) == calls, "the other one saw no rebalance"
    assert other.share == shares[1 - index]

# One that does not come back is missed when its session ends.
both[0].close()
left = time.monotonic()
poll_until([both[1]], lambda: len(both[1].share) == 4, "the partitions of a member that is gone are another's")
assert time.monotonic() - left > SESSION_SECONDS / 2, "not before its session ends"

# A second one of a name ends the first.
double = Member("second")
poll_until([both[1], double], lambda: both[1].fatal is not None, "the first one of a name is told of the second")
assert both[1].fatal.code() in (KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID), both[1].fatal
poll_until([double], lambda: len(double.share) == 4, "the second one has its partitions")
assert double.fatal is None
double.close()
print("static members ok")
