"""Dumps all znodes below two chroots and prints what differs; times, ports and ids are set aside."""
import re
import sys

from kazoo.client import KazooClient

SET_ASIDE = [
    (rb'"timestamp":"\d+"', b'"timestamp":"T"'),
    (rb'"id":"[^"]*"', b'"id":"ID"'),
    (rb":\d{4,5}\"", b':PORT"'),
    (rb'"port":\d+', b'"port":PORT'),
]


def dump(server, chroot):
    client = KazooClient(hosts=server + chroot)
    client.start()
    found = {}

    def walk(path):
        data, stat = client.get(path)
        for pattern, replacement in SET_ASIDE:
            data = data and re.sub(pattern, replacement, data)
        acls = [str(acl) for acl in client.get_acls(path)[0]]
        found[path] = (data, bool(stat.ephemeralOwner), stat.version, acls)
        for child in client.get_children(path):
            walk(("" if path == "/" else path) + "/" + child)

    walk("/")
    client.stop()
    return found


one, other = dump(sys.argv[1], sys.argv[2]), dump(sys.argv[1], sys.argv[3])
for path in sorted(set(one) | set(other)):
    if one.get(path) != other.get(path):
        print(path, one.get(path), other.get(path), sep="\n  ")
assert one == other
assert len(one) > 40, sorted(one)
print("znodes equal:", len(one))
