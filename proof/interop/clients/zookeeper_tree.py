"""fill HOST: makes nodes of many kinds. dump HOST: prints the tree with stats and ACLs, once no ephemeral node is left."""
import hashlib
import json
import os
import sys
import time

from kazoo.client import KazooClient
from kazoo.security import make_acl, make_digest_acl

command, host = sys.argv[1:]


def fill(client):
    client.add_auth("digest", "owner:secret")
    client.create("/plain", b"data")
    for index in range(300):
        client.create("/plain/n-", b"%d" % index * (index % 40), sequence=True)
    for version in range(5):
        client.set("/plain/n-0000000007", b"version %d" % version)
    for index in range(0, 300, 3):
        client.delete("/plain/n-%010d" % index)
    client.create("/guarded", b"x", acl=[make_digest_acl("owner", "secret", all=True), make_acl("world", "anyone", read=True)])
    client.set_acls("/guarded", [make_acl("world", "anyone", read=True, admin=True)])
    client.create("/empty", b"")
    transaction = client.transaction()
    transaction.create("/both", b"1")
    transaction.set_data("/plain", b"changed")
    transaction.commit()
    client.create("/short")
    client.create("/short/ephemeral", b"", ephemeral=True)


def walk(client, path, lines):
    data, stat = client.get(path)
    acl, _ = client.get_acls(path)
    # The end of a session changes the parent of its nodes, at a zxid of its own.
    stat = None if path == "/short" else list(stat)
    content = [len(data), hashlib.sha256(data).hexdigest()]
    lines.append(json.dumps([path, content, sorted(map(str, acl)), stat]))
    for name in sorted(client.get_children(path)):
        walk(client, path.rstrip("/") + "/" + name, lines)


client = KazooClient(hosts=host, timeout=2.0)
client.start()
if command == "fill":
    fill(client)
    # Gone without a word, so that the session and its node outlive this process.
    sys.stdout.write("filled")
    sys.stdout.flush()
    os._exit(0)
limit = time.time() + 20
while client.exists("/short/ephemeral"):
    assert time.time() < limit, "the ephemeral node outlives its session"
    time.sleep(0.1)
lines = []
walk(client, "/", lines)
print("\n".join(lines))
client.stop()
