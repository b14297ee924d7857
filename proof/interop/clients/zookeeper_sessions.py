"""HOST OTHER FOLDER: sessions that one server knows. Tells what a client of HOST sees who goes to OTHER now and then: errors, how
many transactions each step took, and what the four-letter words say of it. Ids and times are left out; all is done in FOLDER."""
import re
import socket
import struct
import sys
import time

CREATE, DELETE, EXISTS, SYNC, MULTI, CREATE2, CREATE_CONTAINER, CLOSE, SET_WATCHES = 1, 2, 3, 9, 14, 15, 19, -11, 101
PERSISTENT, EPHEMERAL, EPHEMERAL_SEQUENTIAL = 0, 1, 3
CLOSED = "closed"


def text(value):
    return struct.pack(">i", len(value)) + value.encode()


def created(path, flags):
    acl = struct.pack(">ii", 1, 31) + text("world") + text("anyone")
    return text(path) + struct.pack(">i", 0) + acl + struct.pack(">i", flags)


def multi(*ops):
    parts = [struct.pack(">ibi", op, 0, -1) + body for op, body in ops]
    return b"".join(parts) + struct.pack(">ibi", -1, 1, -1)


class Connection:
    """A client's connection, byte by byte: a library would hide what is looked at here."""

    def __init__(self, host, session=0, password=b"\0" * 16, timeout=30000):
        address, port = host.split(":")
        self.socket = socket.create_connection((address, int(port)), timeout=30)
        self.xid = 0
        self.send(struct.pack(">iqiqi", 0, 0, timeout, session, 16) + password + b"\0")
        answer = self.frame()
        _, self.timeout, self.session, _ = struct.unpack(">iiqi", answer[:20])
        self.password = answer[20:36]

    def send(self, body):
        self.socket.sendall(struct.pack(">i", len(body)) + body)

    def read(self, length):
        data = b""
        while len(data) < length:
            piece = self.socket.recv(length - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def frame(self):
        return self.read(struct.unpack(">i", self.read(4))[0])

    def ask(self, op, body=b""):
        """Sends a request without waiting."""
        self.xid += 1
        self.send(struct.pack(">ii", -8 if op == SET_WATCHES else self.xid, op) + body)

    def answer(self):
        """The next answer: zxid, error, body. A watch's event comes as its type and path."""
        try:
            frame = self.frame()
        except (EOFError, ConnectionError):
            return CLOSED
        xid, zxid, error = struct.unpack(">iqi", frame[:16])
        if xid == -1:
            kind, _, length = struct.unpack(">iii", frame[16:28])
            return "event %d %s" % (kind, frame[28 : 28 + length].decode().split("/")[-1])
        return zxid, error, frame[16:]

    def do(self, op, body=b""):
        self.ask(op, body)
        return self.answer()

    def is_closed(self):
        return self.answer() == CLOSED

    def leave(self):
        self.socket.close()


def word(host, name):
    address, port = host.split(":")
    with socket.create_connection((address, int(port)), timeout=10) as connection:
        connection.sendall(name.encode())
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


def counts(host):
    lines = word(host, "mntr").split("\n")
    return [line for line in lines if re.match("zk_(local|global)_sessions\t", line)]


class Story:
    def __init__(self, host, other, folder):
        self.host, self.other, self.folder, self.names = host, other, folder, {}
        self.witness = Connection(host)
        self.witness.do(CREATE, created(folder, PERSISTENT))
        self.names[self.witness.session] = "witness"
        self.zxid = self.now()

    def path(self, name):
        return "%s/%s" % (self.folder, name)

    def now(self):
        """The last transaction, once the host has all."""
        answer = self.witness.do(SYNC, text("/"))
        assert answer[1] == 0, answer
        return self.witness.do(EXISTS, text("/") + b"\0")[0]

    def tell(self, what, *told):
        before, self.zxid = self.zxid, self.now()
        print("%s: %s (%d transactions)" % (what, " ".join(map(str, told)), self.zxid - before))

    def open(self, name, *arguments, **named):
        connection = Connection(*arguments, **named)
        if connection.session:
            self.names.setdefault(connection.session, name)
        return connection

    def name(self, connection):
        return "%s for %d ms" % (self.names.get(connection.session, "none"), connection.timeout)

    def words(self, what):
        dump = word(self.host, "dump").split("ephemeral nodes dump")
        dump[1] = dump[1].split("Connections dump")[0]
        for session, name in self.names.items():
            dump = [part.replace("0x%x" % (session & (2**64 - 1)), name).replace(self.folder, "") for part in dump]
        told = re.sub(r"expire at .*:", "expire:", dump[0])
        told = re.sub(r"Sets \(\d+\)/", "Sets/", told)
        # Other sessions of the run, buckets and their order say nothing.
        told = [line for line in told.split("\n") if not re.match(r"(\d+ expire|\t?0x)", line)]
        print(what, counts(self.host), sorted(told), sorted(dump[1].split("\n")))

    def again(self, name, host, connection):
        """Another connection of the same session."""
        return self.open(name, host, connection.session, connection.password, connection.timeout)


def lives_here_alone(story):
    client = story.open("first", story.host)
    story.tell("a session is opened", story.name(client))
    story.words("it is told of")
    story.tell("a write", client.do(CREATE, created(story.path("kept"), PERSISTENT))[1])
    client.do(EXISTS, text(story.path("kept")) + b"\1")
    story.tell("elsewhere it is", story.name(story.again("first", story.other, client)))
    back = story.again("first", story.host, client)
    story.tell("here it goes on as", story.name(back), "and the connection before is closed:", client.is_closed())
    zxid = story.zxid
    story.witness.do(DELETE, text(story.path("kept")) + struct.pack(">i", -1))
    watches = struct.pack(">qi", zxid, 1) + text(story.path("kept")) + struct.pack(">ii", 0, 0)
    told = [back.do(SET_WATCHES, watches), back.answer()[1]]
    story.tell("watches that are set anew", *told)
    back.ask(CREATE, created(story.path("late"), PERSISTENT))
    back.ask(CLOSE)
    story.tell("a write and its end", back.answer()[1], back.answer()[1], back.is_closed())
    story.tell("behind its end it is", story.name(story.again("first", story.host, back)))
    story.words("nothing is told of it")


def ends_by_itself(story):
    client = story.open("silent", story.host, timeout=1)
    client.leave()
    local = next(line for line in counts(story.host) if line.startswith("zk_local"))
    deadline = time.time() + 30
    while next(line for line in counts(story.host) if line.startswith("zk_local")) == local and local[-1] != "0":
        assert time.time() < deadline, counts(story.host)
        story.now()
        time.sleep(0.05)
    story.tell("a silent session is", story.name(story.again("silent", story.host, client)))


def results(body):
    """What the parts of a multi say: op and error."""
    told = []
    while body:
        op, is_done, error = struct.unpack(">ibi", body[:9])
        body = body[9:]
        if is_done:
            break
        told.append((op, error))
        if op == CREATE:
            length = struct.unpack(">i", body[:4])[0]
            body = body[4 + length :]
        elif op == -1:
            body = body[4:]
    return told


def makes_ephemerals(story, name, op, body):
    client = story.open(name, story.host)
    client.ask(EXISTS, text("/") + b"\0")
    client.ask(op, body)
    client.ask(EXISTS, text(story.path(name)) + b"\0")
    client.answer()
    made = client.answer()
    told = results(made[2]) if op == MULTI else "with a body" if made[2] else ""
    story.tell(name, made[1], told, "seen:", client.answer()[1])
    story.words("it is told of")
    elsewhere = story.again(name, story.other, client)
    story.tell("elsewhere it is", story.name(elsewhere))
    client = story.again(name, story.host, client)
    story.tell("here it goes on as", story.name(client))
    if elsewhere.session:
        story.tell("where it was it is", elsewhere.do(CREATE, created(story.path(name + "-moved"), PERSISTENT)))
    story.tell("it makes another", client.do(CREATE2, created(story.path(name + "-"), EPHEMERAL_SEQUENTIAL))[1])
    story.tell("it ends", client.do(CLOSE)[1], client.is_closed())
    seen = story.witness.do(EXISTS, text(story.path(name)) + b"\0")[1]
    story.tell("what it made is left:", seen)


def main(host, other, folder):
    story = Story(host, other, folder)
    lives_here_alone(story)
    ends_by_itself(story)
    makes_ephemerals(story, "created", CREATE, created(story.path("created"), EPHEMERAL))
    makes_ephemerals(story, "created2", CREATE2, created(story.path("created2"), EPHEMERAL))
    parts = [(CREATE, created(story.path("part"), PERSISTENT)), (CREATE, created(story.path("multi"), EPHEMERAL)), (CREATE, created(story.path("nor"), PERSISTENT))]
    makes_ephemerals(story, "multi", MULTI, multi(*parts))
    makes_ephemerals(story, "unwritten", CREATE, created(story.path("none/unwritten"), EPHEMERAL))
    story.witness.do(CLOSE)


if __name__ == "__main__":
    main(*sys.argv[1:])
