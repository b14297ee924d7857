"""kazoo: create, get, set, watches, sequential and ephemeral nodes, transactions, locks."""
import sys
import threading
import time

from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError

client = KazooClient(hosts=sys.argv[1])
client.start()
client.ensure_path("/kazoo/deep")
client.create("/kazoo/node", b"one")
seen = []
changed = threading.Event()


@client.DataWatch("/kazoo/node")
def on_change(data, stat):
    seen.append(data)
    if data == b"two":
        changed.set()


client.set("/kazoo/node", b"two")
assert changed.wait(10), seen
assert seen == [b"one", b"two"], seen
names = [client.create("/kazoo/deep/s-", b"", sequence=True) for _ in range(3)]
assert names == ["/kazoo/deep/s-%010d" % index for index in range(3)], names
transaction = client.transaction()
transaction.create("/kazoo/both", b"x")
transaction.check("/kazoo/missing", 0)
results = transaction.commit()
assert client.exists("/kazoo/both") is None, results
assert isinstance(results[1], NoNodeError), results
other = KazooClient(hosts=sys.argv[1])
other.start()
other.create("/kazoo/ephemeral", b"", ephemeral=True)
assert client.exists("/kazoo/ephemeral")
other.stop()
# stop() returns when the request to close is sent: the node goes with the server's answer to it.
deadline = time.monotonic() + 10
while client.exists("/kazoo/ephemeral"):
    assert time.monotonic() < deadline, "the ephemeral node outlives its session"
with client.Lock("/kazoo/lock", "me"):
    assert client.get_children("/kazoo/lock")
assert sorted(client.get_children("/kazoo")) == ["deep", "lock", "node"], client.get_children("/kazoo")
client.stop()
print("kazoo ok")
