"""Observers, byte by byte as in zookeeper_sessions.py.

story HOST OTHER VOTERS FOLDER   what a client of the observer HOST sees, who goes to OTHER, another observer, and to VOTERS
late HOST OTHER FOLDER           what becomes of the request of a session that has gone from HOST to OTHER
"""
import struct
import sys

from zookeeper_sessions import CLOSE, CLOSED, CREATE, DELETE, EPHEMERAL, EXISTS, PERSISTENT, SYNC, Connection, created, text

GET_DATA, SET_DATA = 4, 5


def again(host, connection):
    return Connection(host, connection.session, connection.password, connection.timeout)


def there(connection, path):
    """What a read says that is behind everything written before."""
    assert connection.do(SYNC, text(path))[1] == 0
    return connection.do(EXISTS, text(path) + b"\0")[1]


def story(host, other, voters, folder):
    client, witness = Connection(host), Connection(voters.split(",")[0])
    print("writes", client.do(CREATE, created(folder, PERSISTENT))[1], witness.do(CREATE, created(folder, PERSISTENT))[1])
    ephemeral = folder + "/ephemeral"
    print("an ephemeral node", client.do(CREATE, created(ephemeral, EPHEMERAL))[1], there(witness, ephemeral))
    for number, place in enumerate([other] + voters.split(",") + [host]):
        before, client = client, again(place, client)
        path = "%s/%d" % (folder, number)
        print("moves", client.session == before.session, client.do(CREATE, created(path, PERSISTENT))[1], there(witness, path))
        before.leave()
        witness.do(CREATE, created(path + "-by-another", PERSISTENT))
        print("is shown what others write", there(client, path + "-by-another"))
    client.do(GET_DATA, text(folder) + b"\1")
    print("a write elsewhere", witness.do(SET_DATA, text(folder) + struct.pack(">ii", 0, -1))[1], client.answer())
    print("the end", client.do(CLOSE)[1], client.is_closed(), there(witness, ephemeral))
    elsewhere = Connection(other)
    # A server that has not heard of the end closes the connection when it does.
    print("is over", there(elsewhere, ephemeral), again(other, client).session)
    elsewhere.do(CLOSE)
    print("a stranger", Connection(host, 77, b"x" * 16).session)
    witness.do(CLOSE)


def late(host, other, folder):
    client = Connection(host)
    client.do(CREATE, created(folder, PERSISTENT))
    moved = again(other, client)
    answer = client.do(CREATE, created(folder + "/late", PERSISTENT))
    # Another session looks: an original observer may take the late request's end for that of what the session asks for next.
    witness = Connection(other)
    seen = there(witness, folder + "/late")
    witness.do(CLOSE)
    print("closed" if answer == CLOSED else answer[1], moved.do(EXISTS, text(folder) + b"\0")[1], seen)
    moved.do(DELETE, text(folder) + struct.pack(">i", -1))


command, rest = sys.argv[1], sys.argv[2:]
{"story": story, "late": late}[command](*rest)
