"""Dumps all znodes of two places, SERVERS/CHROOT each, and prints what differs; times, addresses, ports and ids are set aside, and where
a topic that the brokers make by themselves has its replicas. A partition's state may have been written more often in the other place, in
more epochs: the original takes removed replicas out of an ISR one by one, and a stopped leader may come back into it for a moment."""
import json
import re
import sys

from kazoo.client import KazooClient

SET_ASIDE = [
    (rb'"timestamp":"\d+"', b'"timestamp":"T"'),
    (rb'"id":"[^"]*"', b'"id":"ID"'),
    (rb'127\.\d+\.\d+\.\d+', b'ADDRESS'),
    (rb":\d{4,5}\"", b':PORT"'),
    (rb'"port":\d+', b'"port":PORT'),
    # Whose throttles a tool sets first.
    (rb'"entity_path":"brokers/\d+"', b'"entity_path":"brokers/ID"'),
    # Who comes first when the controller has stopped.
    (rb'"brokerid":\d+', b'"brokerid":ID'),
    (rb'"leader_epoch":\d+', b'"leader_epoch":E'),
]
# A random broker is the first.
BY_CHANCE = re.compile("/brokers/topics/__consumer_offsets($|/)")


def plain(path, data):
    if data is None:
        return None
    for pattern, replacement in SET_ASIDE:
        data = re.sub(pattern, replacement, data)
    if BY_CHANCE.match(path):
        data = re.sub(rb"\[[\d,]+\]", lambda found: b"[%d brokers]" % (found.group().count(b",") + 1), data)
        data = re.sub(rb'"leader":\d', b'"leader":ID', data)
    return data


def dump(place):
    client = KazooClient(hosts=place)
    client.start()
    found, steps = {}, {}

    def walk(path):
        data, stat = client.get(path)
        acls = [str(acl) for acl in client.get_acls(path)[0]]
        version = stat.version
        if path.endswith("/state"):
            version = None
            steps[path] = (stat.version, json.loads(data)["leader_epoch"])
        found[path] = (plain(path, data), bool(stat.ephemeralOwner), version, acls)
        for child in client.get_children(path):
            walk(("" if path == "/" else path) + "/" + child)

    walk("/")
    client.stop()
    return found, steps


(one, one_steps), (other, other_steps) = dump(sys.argv[1]), dump(sys.argv[2])
for path in sorted(set(one) | set(other)):
    if one.get(path) != other.get(path):
        print(path, one.get(path), other.get(path), sep="\n  ")
assert one == other
for path, steps in sorted(one_steps.items()):
    print(path, steps, other_steps[path])
    assert all(own <= others for own, others in zip(steps, other_steps[path])), "more steps than the other"
assert len(one) > 40, sorted(one)
print("znodes equal:", len(one))
