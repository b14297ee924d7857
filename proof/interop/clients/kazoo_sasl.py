"""kazoo logs in by DIGEST-MD5: HOSTS USER PASSWORD; a node that only this user may read."""
import sys

from kazoo.client import KazooClient
from kazoo.exceptions import NoAuthError
from kazoo.security import ACL, Id, Permissions

hosts, user, password = sys.argv[1:]
options = {"mechanism": "DIGEST-MD5", "username": user, "password": password}
client = KazooClient(hosts=hosts, sasl_options=options)
client.start()
client.create("/kazoo", b"mine", acl=[ACL(Permissions.ALL, Id("sasl", user))])
assert client.get("/kazoo")[0] == b"mine"
client.create("/other", b"", acl=[ACL(Permissions.ALL, Id("sasl", "somebody"))])
try:
    client.get("/other")
    raise AssertionError("read what is another's")
except NoAuthError:
    pass
client.stop()
print("kazoo by SASL ok")
