"""Changes the list of servers of an ensemble, as a client does, and tells what comes of it.

    reconfig HOST JOINING LEAVING MEMBERS VERSION   one change ("-" for none); the list then, or the error
    refusals HOST                                   changes that are refused, and with which errors
    lists HOST...                                   the list that each server tells, once all tell the same

Versions differ from run to run and are left out.
"""

import sys
import time

from kazoo.client import KazooClient
from kazoo.exceptions import ConnectionLoss, KazooException, SessionExpiredError


def connected(host, auth=True):
    client = KazooClient(host, timeout=20, auth_data=[("digest", "super:test")] if auth else [])
    client.start(30)
    return client


def shown(data):
    lines = data.decode().split("\n")
    assert lines[-1].startswith("version="), lines
    return " ".join(lines[:-1])


def version(client):
    client.sync("/zookeeper/config")
    data, _ = client.get("/zookeeper/config")
    return int(data.decode().rsplit("version=", 1)[1], 16)


def told(call):
    try:
        return call()
    except KazooException as error:
        return type(error).__name__


def reconfig(host, joining, leaving, members, at):
    joining, leaving, members = [None if text == "-" else text for text in (joining, leaving, members)]
    client = connected(host)
    before = version(client)
    try:
        data, stat = client.reconfig(joining, leaving, members, -1 if at == "-" else before)
        assert int(data.decode().rsplit("version=", 1)[1], 16) == stat.mzxid > before, (data, stat, before)
    except (ConnectionLoss, SessionExpiredError):
        # An original closes the connection when its own part changes: what was asked for is done all the same.
        while version(client) <= before:
            time.sleep(0.05)
        data, _ = client.get("/zookeeper/config")
    print(shown(data))
    client.stop()


def refusals(host):
    client = connected(host)
    now = version(client)
    address = "127.77.77.77"
    line = "server.9=%s:2888:3888:participant;%s:2181" % (address, address)
    for what, arguments in [
        ("too few", (None, "1,2,4", None, -1)),
        ("no quorum", (",".join(line.replace("9=", "%d=" % id) for id in range(5, 10)), None, None, -1)),
        ("version", (None, "4", None, now - 1)),
        ("no port", ("server.9=%s:2888" % address, None, None, -1)),
        ("no client port", ("server.9=%s:2888:3888" % address, None, None, -1)),
        ("no number", ("server.x=%s:2888:3888;2181" % address, None, None, -1)),
        ("same ports", ("server.9=%s:2888:2888;2181" % address, None, None, -1)),
        ("a role that is none", ("server.9=%s:2888:3888:voter;2181" % address, None, None, -1)),
        ("no equals sign", ("server.9", None, None, -1)),
        ("leaves without a number", (None, "one", None, -1)),
        ("other keys", (None, None, "clientPort=1", -1)),
        ("observers alone", (None, None, "server.9=%s:2888:3888:observer;2181" % address, -1)),
        ("one voter and an observer", (None, None, line + ",server.8=%s:1:2:observer;3" % address, -1)),
        ("half of a group", (None, None, line + ",server.8=%s:1:2;3,group.1=8" % address, -1)),
    ]:
        print(what + ":", told(lambda: client.reconfig(*arguments) and "done"))
    stranger = connected(host, auth=False)
    print("a stranger:", told(lambda: stranger.reconfig(None, "4", None, -1) and "done"))
    print("a stranger writes:", told(lambda: stranger.set("/zookeeper/config", b"") and "done"))
    assert version(client) == now
    stranger.stop()
    client.stop()


def lists(hosts):
    deadline = time.monotonic() + 60
    while True:
        texts = set()
        for host in hosts:
            client = connected(host)
            client.sync("/zookeeper/config")
            texts.add(client.get("/zookeeper/config")[0])
            client.stop()
        if len(texts) == 1:
            return print(shown(texts.pop()))
        assert time.monotonic() < deadline, texts
        time.sleep(0.1)


if __name__ == "__main__":
    what, arguments = sys.argv[1], sys.argv[2:]
    if what == "lists":
        lists(arguments)
    else:
        {"reconfig": reconfig, "refusals": refusals}[what](*arguments)
