"""confluent-kafka (librdkafka): producers and a group of consumers that go on through whatever happens to the brokers, and keep
books of what was acknowledged.

traffic.py SERVERS TOPIC FOLDER RATE PRODUCERS MEMBERS CODECS: until standard input ends, producers write numbered records to the topic's partitions in turn,
so many a second each, those
that are named, with commas between, with as many codecs (`none`, `gzip`, `snappy`, `lz4`, `zstd`):

    idempotent  acks=all, exactly once           FOLDER/idempotent  PARTITION OFFSET NUMBER for each acknowledged record,
    all         acks=all, sent again if need be  FOLDER/all         in the order of the acknowledgements
    one         acks=1                           FOLDER/one

and two members of a group, `static` or `dynamic`, read along (or `none`), FOLDER/consumers:

    assigned MEMBER PARTITION OFFSET             it begins there: where the group has committed, or at 0
    read MEMBER PARTITION OFFSET PRODUCER NUMBER
    committed MEMBER PARTITION OFFSET            acknowledged

A record has its producer's name as its key and its number, then padding, as its value. Says `loaded` when all have begun, and how many records each
producer has sent at the end, when the consumers have come to the end as well.
"""
import sys
import threading
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

servers, topic, folder, rate, producers, kind, codecs = sys.argv[1:8]
rate = float(rate)
CONNECTION = {
    "bootstrap.servers": servers,
    "reconnect.backoff.ms": 20,
    "reconnect.backoff.max.ms": 500,
    "topic.metadata.refresh.interval.ms": 2000,
    "socket.timeout.ms": 6000,
    "socket.connection.setup.timeout.ms": 3000,
    "log_level": 3,
}
SETTINGS = {
    "idempotent": {"acks": "all", "enable.idempotence": True},
    "all": {"acks": "all", "max.in.flight.requests.per.connection": 1},
    "one": {"acks": "1", "max.in.flight.requests.per.connection": 1},
}
COMMIT_SECONDS = 0.5
SILENT_SECONDS = 5
END_SECONDS = 90

over, written = threading.Event(), threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
failures = []


def failed(text):
    """Ends all."""
    print("traffic ended:", text, file=sys.stderr, flush=True)
    failures.append(text)
    over.set()
    written.set()


def guarded(run):
    """A thread's end by an exception is told, and ends all."""

    def runs(*arguments):
        try:
            run(*arguments)
        except BaseException as failure:
            failed(f"{threading.current_thread().name}: {failure!r}")
            raise

    return runs


class Writer:
    def __init__(self, name, codec):
        self.name, self.sent, self.acknowledged, self.unplaced = name, 0, 0, []
        self.book = open(f"{folder}/{name}", "w", buffering=1)
        self.producer = Producer({
            **CONNECTION, **SETTINGS[name], "compression.type": codec, "linger.ms": 5, "message.timeout.ms": 0, "retry.backoff.ms": 50,
            # What has waited for a leader must fit into a segment.
            "batch.size": 50000,
            # A broker that has just started knows no topic, until it is told: nothing is to be given up for that.
            "topic.metadata.propagation.max.ms": 3600000,
            "queue.buffering.max.messages": 20000, "error_cb": self.on_error,
        })
        self.thread = threading.Thread(target=guarded(self.run), name=name, daemon=True)

    def on_error(self, error):
        if error.fatal():
            failed(f"{self.name}: {error}")

    def report(self, error, message):
        if error is not None and error.code() in UNPLACED:
            # Never sent: a broker that has just started knew no such partition, and the client gave up.
            self.unplaced.append((message.partition(), message.value()))
            return
        if error is not None:
            failed(f"{self.name}: {message.value()[:20]}: {error}")
            return
        number = message.value().split(b" ", 1)[0].decode()
        # None if it was there already and the leader knows that alone.
        offset = -1 if message.offset() is None else message.offset()
        self.book.write(f"{message.partition()} {offset} {number}\n")
        self.acknowledged += 1

    def place(self):
        """What could not be placed is sent again, in its order."""
        unplaced, self.unplaced = self.unplaced, []
        for partition, value in unplaced:
            self.send(partition, value)

    def send(self, partition, value):
        try:
            self.producer.produce(topic, key=self.name, value=value, partition=partition, on_delivery=self.report)
        except KafkaException as failure:
            if failure.args[0].code() not in UNPLACED:
                raise
            self.unplaced.append((partition, value))

    def run(self):
        began = time.monotonic()
        while not over.is_set():
            # What could not be sent in a while is not made up for.
            due = min(int((time.monotonic() - began) * rate), self.sent + 200)
            began = max(began, time.monotonic() - (due + 400) / rate)
            while self.sent < due and len(self.producer) < 5000:
                value = b"%d %s" % (self.sent, b"x" * (self.sent % 150))
                self.send(self.sent % partitions, value)
                self.sent += 1
            self.producer.poll(0.005)
            self.place()
        deadline = time.monotonic() + END_SECONDS
        while self.unplaced or len(self.producer):
            assert time.monotonic() < deadline, f"{len(self.producer)} records are not acknowledged"
            self.producer.poll(0.1)
            self.place()
        left = self.producer.flush(END_SECONDS)
        assert left == 0, f"{left} records are not acknowledged"


class Member:
    def __init__(self, name):
        self.name, self.positions, self.committed, self.share = name, {}, {}, None
        # Nobody is to start again at another place than the group's, without a word.
        self.settings = {
            **CONNECTION, "group.id": f"group-{topic}", "enable.auto.commit": False, "auto.offset.reset": "error",
            "session.timeout.ms": 6000, "heartbeat.interval.ms": 500, "fetch.wait.max.ms": 100,
            "fetch.error.backoff.ms": 50, "check.crcs": True,
            **({"group.instance.id": name} if kind == "static" else {}),
        }
        self.thread = threading.Thread(target=guarded(self.run), name=name, daemon=True)

    def on_assign(self, consumer, share):
        while True:
            try:
                found = consumer.committed(share, timeout=10)
                if not any(part.error for part in found):
                    break
            except KafkaException as failure:
                if not failure.args[0].retriable() and failure.args[0].code() not in PASSING:
                    raise
            time.sleep(0.1)
        self.share = [TopicPartition(topic, part.partition, max(part.offset, 0)) for part in found]
        self.positions = {part.partition: part.offset for part in self.share}
        self.committed = dict(self.positions)
        for part in self.share:
            note(f"assigned {self.name} {part.partition} {part.offset}")
        consumer.assign(self.share)

    def on_revoke(self, consumer, _):
        self.commit()
        self.share, self.positions = None, {}
        consumer.unassign()

    def commit(self):
        fresh = [TopicPartition(topic, partition, offset) for partition, offset in self.positions.items()
                 if self.committed.get(partition) != offset]
        if not fresh:
            return
        try:
            done = self.consumer.commit(offsets=fresh, asynchronous=False)
        except KafkaException:
            # The coordinator moves or the group rebalances: what is not acknowledged is not noted.
            return
        for part in done:
            if part.error is None:
                self.committed[part.partition] = part.offset
                settled[part.partition] = max(settled.get(part.partition, 0), part.offset)
                note(f"committed {self.name} {part.partition} {part.offset}")

    def join(self):
        self.consumer = Consumer(self.settings)
        self.consumer.subscribe([topic], on_assign=self.on_assign, on_revoke=self.on_revoke, on_lost=self.on_revoke)

    def run(self):
        self.join()
        last = heard = time.monotonic()
        while not self.is_at_the_end():
            messages = self.consumer.consume(200, 0.05)
            if messages:
                heard = time.monotonic()
            elif self.share and time.monotonic() - heard > SILENT_SECONDS and self.is_behind():
                # librdkafka before 2.10 gets stuck when a broker that has just started tells it that there is no such topic, as the
                # original's brokers do: it lets all partitions go (rd_kafka_topic_set_notexists), and takes none up again before a
                # leader epoch that is later than the one that it knew (rd_kafka_toppar_leader_update; mended by its pull request
                # 4970). On brokers of the original alone it does the same. What it knows of partitions goes with the client alone, so another
                # one takes its place.
                print(f"{self.name} comes anew behind {self.positions}", file=sys.stderr, flush=True)
                self.consumer.close()
                self.join()
                heard = time.monotonic()
            for message in messages:
                if message.error():
                    code = message.error().code()
                    if code == KafkaError._AUTO_OFFSET_RESET and "truncation detected" in message.error().str():
                        # Several questions may be on their way when leaders change twice within moments, and it may hold the answer about
                        # an earlier epoch against the place where it is by then. A log that was cut answers a fetch from there with
                        # OFFSET_OUT_OF_RANGE, which fails.
                        print(f"{self.name} goes on at {self.positions}: {message.error()}", file=sys.stderr, flush=True)
                        self.consumer.assign([TopicPartition(topic, at, offset) for at, offset in self.positions.items()])
                        break
                    assert code in PASSING or message.error().retriable(), message.error()
                    continue
                partition = message.partition()
                if partition not in self.positions:
                    continue
                number = message.value().split(b" ", 1)[0].decode()
                note(f"read {self.name} {partition} {message.offset()} {message.key().decode()} {number}")
                self.positions[partition] = message.offset() + 1
                reached[partition] = max(reached.get(partition, 0), message.offset() + 1)
            if written.is_set() or time.monotonic() - last > COMMIT_SECONDS:
                self.commit()
                last = time.monotonic()
        self.consumer.close()

    def is_behind(self):
        """Whether there is something to be read, as far as is known: while records are written there is always more."""
        return not written.is_set() or any(self.positions.get(part.partition, 0) < ends[part.partition] for part in self.share)

    @staticmethod
    def is_at_the_end():
        return written.is_set() and (failures or all(settled.get(partition, 0) >= end for partition, end in ends.items()))


UNPLACED = (KafkaError._UNKNOWN_PARTITION, KafkaError._UNKNOWN_TOPIC)
PASSING = (
    KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._RESOLVE, KafkaError._WAIT_COORD,
    KafkaError._TIMED_OUT_QUEUE, KafkaError._MAX_POLL_EXCEEDED, KafkaError.REQUEST_TIMED_OUT,
    KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.REBALANCE_IN_PROGRESS, KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE,
    # Of a broker that has just started, and was not yet told who leads what.
    KafkaError.UNKNOWN_TOPIC_OR_PART,
)
# By partition, of both members: what was read, what was committed, and what there is to read.
reached, settled, ends = {}, {}, {}
consumers_book = open(f"{folder}/consumers", "w", buffering=1)
lock = threading.Lock()


def note(line):
    with lock:
        consumers_book.write(line + "\n")


def ends_of(consumer):
    """The high watermarks when all is written: that is what there is to read."""
    found = {}
    while len(found) < partitions:
        try:
            part = TopicPartition(topic, len(found))
            found[part.partition] = consumer.get_watermark_offsets(part, timeout=10, cached=False)[1]
        except KafkaException:
            time.sleep(0.1)
    return found


def begun():
    shared = [len(one.share or []) for one in members]
    are_shared = sum(shared) == partitions and len(list(filter(None, shared))) == min(len(shared), partitions)
    reading = not members or len(reached) == partitions and are_shared
    return reading and all(one.acknowledged for one in writers) or failures


asking = Consumer({**CONNECTION, "group.id": "nobody"})
partitions = len(asking.list_topics(topic, timeout=30).topics[topic].partitions)
writers = [Writer(*pair) for pair in zip(producers.split(","), codecs.split(","))]
members = [Member(name) for name in ("first", "second")] if kind != "none" else []
for one in writers + members:
    one.thread.start()
deadline = time.monotonic() + 60
while not begun() and time.monotonic() < deadline:
    time.sleep(0.05)
assert begun() and not failures, (failures, [one.acknowledged for one in writers], reached)
print("loaded", flush=True)

for one in writers:
    one.thread.join()
# A watermark may lag behind an acknowledgement for a fetch of the followers, behind a new leader for a little longer.
acknowledged = [0] * partitions
for name in {"idempotent", "all"}.intersection(producers.split(",")):
    for line in open(f"{folder}/{name}"):
        partition, offset, _ = line.split()
        acknowledged[int(partition)] = max(acknowledged[int(partition)], int(offset) + 1)
deadline = time.monotonic() + END_SECONDS
found = ends_of(asking)
while any(found[partition] < acknowledged[partition] for partition in found) and time.monotonic() < deadline:
    time.sleep(0.1)
    found = ends_of(asking)
ends.update(found)
written.set()
for one in members:
    one.thread.join(END_SECONDS)
    if one.thread.is_alive():
        failed(f"{one.name} did not come to the end {ends}: {reached}, {settled}")
assert not failures, failures
for one in writers:
    print(one.name, one.sent)
