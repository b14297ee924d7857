"""kazoo by TLS: HOSTS AUTHORITY CERTIFICATE KEY; a node that only this certificate may read, and its watch."""
import sys
import threading

from kazoo.client import KazooClient
from kazoo.exceptions import NoAuthError
from kazoo.security import ACL, Id, Permissions

hosts, authority, certificate, key, subject = sys.argv[1:]
client = KazooClient(hosts=hosts, use_ssl=True, ca=authority, certfile=certificate, keyfile=key, verify_certs=True)
client.start()
own = [ACL(Permissions.ALL, Id("x509", subject))]
client.create("/kazoo", b"x" * 500_000, acl=own)
changed = threading.Event()
data, _ = client.get("/kazoo", watch=lambda event: changed.set())
assert data == b"x" * 500_000
client.set("/kazoo", b"two")
assert changed.wait(10)
client.create("/other", b"", acl=[ACL(Permissions.ALL, Id("x509", "CN=somebody"))])
try:
    client.get("/other")
    raise AssertionError("read what is another's")
except NoAuthError:
    pass
client.stop()
print("kazoo by TLS ok")
