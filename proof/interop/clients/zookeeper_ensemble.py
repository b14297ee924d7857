"""kazoo: an ensemble, seen through its members.

write HOST FOLDER COUNT       creates FOLDER/0000... with COUNT nodes, and waits for all
send HOST FOLDER COUNT        the same in a folder that is there, once a line is read, without waiting for an answer
through HOSTS FOLDER TAG      one node through each host; then each host must tell the same children of FOLDER
dump HOSTS                    a digest of the tree as each host has it: paths, data, stats and ACLs
load HOSTS BOOK STOP          sessions, ephemeral nodes, watches and writes until the file STOP is there, then an account:
                              BOOK lists the creates that were acknowledged
read-only HOST                what a member without a leader does for clients that read, and for others
check HOSTS BOOK              everything in BOOK is there, through each host
"""
import hashlib
import json
import os
import socket
import struct
import sys
import threading
import time

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import ConnectionLoss, NodeExistsError, OperationTimeoutError, SessionExpiredError
from kazoo.handlers.threading import SequentialThreadingHandler
from kazoo.retry import KazooRetry

TIMEOUT = float(os.environ.get("SESSION_TIMEOUT", "10"))


class Handler(SequentialThreadingHandler):
    """Gives up soon on a server that is cut off: by itself kazoo waits for a whole session's timeout."""

    def create_connection(self, *arguments, **options):
        return super().create_connection(*arguments, **dict(options, timeout=2))


def connect(hosts):
    client = KazooClient(hosts=hosts, timeout=TIMEOUT, handler=Handler(), connection_retry=KazooRetry(max_tries=-1, delay=0.05, max_delay=0.5))
    client.start(timeout=30)
    return client


def create_many(client, folder, count, wait):
    if wait:
        client.ensure_path(folder)
    answers = [client.create_async("%s/%06d" % (folder, number), b"x" * 40) for number in range(count)]
    if wait:
        for answer in answers:
            answer.get(timeout=30)


def through(hosts, folder, tag):
    clients = [connect(host) for host in hosts.split(",")]
    for number, client in enumerate(clients):
        client.ensure_path(folder)
        client.create("%s/%s-%d" % (folder, tag, number), tag.encode())
    told = []
    for client in clients:
        client.sync(folder)
        told.append(" ".join(sorted(client.get_children(folder))))
        client.stop()
    assert len(set(told)) == 1, told
    print(told[0])


def walk(client):
    """Many requests at a time: a tree of thousands of nodes is seen in a second."""
    lines, paths = [], ["/"]
    while paths:
        asked = [(path, client.get_async(path), client.get_acls_async(path), client.get_children_async(path)) for path in paths]
        paths = []
        for path, data, acls, children in asked:
            (data, stat), (acl, _) = data.get(timeout=30), acls.get(timeout=30)
            # Each server sets this one by itself, when it starts.
            stat = None if path.startswith("/zookeeper") else list(stat)
            if path == "/zookeeper/config":
                data = b"\n".join(sorted(data.split(b"\n")))
            lines.append(json.dumps([path, hashlib.sha256(data).hexdigest(), sorted(map(str, acl)), stat]))
            paths += [path.rstrip("/") + "/" + name for name in children.get(timeout=30)]
    return "\n".join(sorted(lines))


def dump(hosts):
    seen = {}
    for host in hosts.split(","):
        client = connect(host)
        client.sync("/")
        seen[host] = walk(client)
        client.stop()
    first = next(iter(seen.values()))
    for host, tree in seen.items():
        differing = set(first.split("\n")) ^ set(tree.split("\n"))
        assert tree == first, "%s differs: %s" % (host, sorted(differing)[:10])
    print(len(first.split("\n")), hashlib.sha256(first.encode()).hexdigest())


class Worker:
    """One session: an ephemeral node that must stay, and creates that are noted when acknowledged."""

    def __init__(self, hosts, number, book):
        self.book, self.number, self.trouble, self.acknowledged = book, number, [], 0
        self.client = connect(hosts)
        self.client.add_listener(self.changed)
        self.ephemeral = "/load/session-%d" % number
        self.client.create(self.ephemeral, b"", ephemeral=True)
        self.created = self.client.exists(self.ephemeral).czxid

    def changed(self, state):
        if state == KazooState.LOST:
            self.trouble.append("session %d was lost" % self.number)

    def run(self, stop):
        serial = 0
        while not stop.is_set():
            serial += 1
            path = "/load/nodes/%d-%06d" % (self.number, serial)
            try:
                self.client.create(path, b"x" * 60)
            except (ConnectionLoss, OperationTimeoutError):
                continue
            except NodeExistsError:
                self.trouble.append("%s was there before" % path)
                continue
            except SessionExpiredError:
                return
            with LOCK:
                self.book.write(path + "\n")
            self.acknowledged += 1
            # The account reads everything again, through each server.
            stop.wait(0.03)

    def finish(self):
        stat = self.client.retry(self.client.exists, self.ephemeral)
        if stat is None or stat.czxid != self.created:
            self.trouble.append("%s was removed" % self.ephemeral)
        self.client.remove_listener(self.changed)
        self.client.stop()


LOCK = threading.Lock()


def watch(client, stop, seen):
    """A one-shot watch, set again by each event; the last value must come by an event."""
    changed = threading.Event()
    while not stop.is_set() or seen[-1] != seen[0]:
        try:
            changed.clear()
            data, _ = client.get("/load/watched", watch=lambda event: changed.set())
        except (ConnectionLoss, OperationTimeoutError):
            time.sleep(0.05)
            continue
        seen.append(int(data))
        if stop.is_set() and seen[-1] == seen[0]:
            return
        if not changed.wait(timeout=60):
            seen.append(-1)
            return


def load(hosts, book, stop_file):
    first = connect(hosts)
    first.ensure_path("/load/nodes")
    first.ensure_path("/load/watched")
    first.set("/load/watched", b"0")
    stop, last, seen = threading.Event(), threading.Event(), [None]
    trouble = []

    def lost(state):
        if state == KazooState.LOST:
            trouble.append("the watcher's session was lost")

    with open(book, "w", buffering=1) as lines:
        workers = [Worker(hosts, number, lines) for number in range(6)]
        threads = [threading.Thread(target=worker.run, args=(stop,)) for worker in workers]
        watcher = connect(hosts)
        watcher.add_listener(lost)
        threads.append(threading.Thread(target=watch, args=(watcher, last, seen)))
        for thread in threads:
            thread.start()
        print("loaded", flush=True)
        value = 0
        while not os.path.exists(stop_file):
            value += 1
            first.retry(first.set, "/load/watched", b"%d" % value)
            time.sleep(0.02)
        stop.set()
        value += 1
        seen[0] = value
        last.set()
        first.retry(first.set, "/load/watched", b"%d" % value)
        for thread in threads:
            thread.join(timeout=90)
            assert not thread.is_alive(), "a thread hangs: %s" % seen[-5:]
        for worker in workers:
            worker.finish()
            trouble += worker.trouble
    if seen[-1] != value:
        trouble.append("the last change came by no watch: %s of %d" % (seen[-3:], value))
    if sorted(seen[1:]) != seen[1:]:
        trouble.append("a watcher went back in time")
    watcher.remove_listener(lost)
    watcher.stop()
    first.stop()
    assert not trouble, trouble
    print("%d acknowledged" % sum(worker.acknowledged for worker in workers))


def check(hosts, book):
    with open(book) as lines:
        acknowledged = {line.strip() for line in lines if line.endswith("\n")}
    for host in hosts.split(","):
        client = connect(host)
        client.sync("/load/nodes")
        there = {"/load/nodes/" + name for name in client.get_children("/load/nodes")}
        lost = acknowledged - there
        assert not lost, "%s lost %d: %s" % (host, len(lost), sorted(lost)[:10])
        client.stop()
    print(len(acknowledged), "are there")


def word(host, text):
    address, port = host.split(":")
    with socket.create_connection((address, int(port)), timeout=5) as connection:
        connection.sendall(text.encode())
        return b"".join(iter(lambda: connection.recv(4096), b"")).decode()


def attempt(what, *arguments):
    try:
        value = what(*arguments)
        return value if isinstance(value, (str, list, bytes)) else "done"
    except Exception as error:
        return type(error).__name__


def first_answer(host, read_only):
    """What a connect request is answered with, up to the session's id; nothing if the connection is closed."""
    address, port = host.split(":")
    request = struct.pack(">iqiqi16s", 0, 0, 10000, 0, 16, b"\0" * 16) + read_only
    with socket.create_connection((address, int(port)), timeout=5) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        answer = connection.recv(4096)
    return answer[:12].hex() + answer[-1:].hex()


def read_only(host):
    deadline = time.time() + 30
    while word(host, "isro") != "ro":
        assert time.time() < deadline, word(host, "isro")
        time.sleep(0.05)
    print([line for line in word(host, "srvr").split("\n") if line.startswith(("Mode", "Zxid", "Node count"))])
    print([line for line in word(host, "mntr").split("\n") if "server_state" in line])
    print([first_answer(host, flag) for flag in (b"\1", b"\0", b"")])
    client = KazooClient(hosts=host, timeout=TIMEOUT, read_only=True, randomize_hosts=False)
    client.start(timeout=30)
    print(client.client_state, sorted(client.get_children("/kept")), attempt(client.get, "/kept/000001"))
    for what in (
        (client.create, "/kept/new"), (client.set, "/kept/000001", b"y"), (client.delete, "/kept/000001"),
        (client.sync, "/kept"), (client.create, "/kept/e", b"", None, True), (client.get_acls, "/kept"),
        (client.exists, "/none"), (client.get_children, "/none"), (client.transaction().commit,),
    ):
        print(what[0].__name__, attempt(*what))
    client.stop()
    print([line for line in word(host, "srvr").split("\n") if line.startswith(("Mode", "Node count"))])


command, rest = sys.argv[1], sys.argv[2:]
if command == "write":
    client = connect(rest[0])
    create_many(client, rest[1], int(rest[2]), wait=True)
    client.stop()
elif command == "send":
    client = connect(rest[0])
    print("connected", flush=True)
    sys.stdin.readline()
    create_many(client, rest[1], int(rest[2]), wait=False)
    sys.stdin.readline()
    os._exit(0)
else:
    {"through": through, "dump": dump, "load": load, "check": check, "read-only": read_only}[command](*rest)
