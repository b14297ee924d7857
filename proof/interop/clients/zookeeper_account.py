"""HOST FILE [check]: FILE lists the creates that were acknowledged. Checks that all are there; then creates more, many at a
time, and lists what is acknowledged, until the server is gone."""
import os
import sys
import threading

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException

host, book = sys.argv[1:3]
client = KazooClient(hosts=host, timeout=10.0)
client.start()
client.ensure_path("/account")
with open(book, "a+", buffering=1) as lines:
    lines.seek(0)
    acknowledged = {line.strip() for line in lines if line.endswith("\n")}
    there = set(client.get_children("/account"))
    lost = acknowledged - there
    assert not lost, "lost: %s" % sorted(lost)[:10]
    print("%d acknowledged, %d there" % (len(acknowledged), len(there)))
    if sys.argv[3:] == ["check"]:
        client.stop()
        sys.exit()
    gone = threading.Event()
    room = threading.Semaphore(100)
    lock = threading.Lock()

    def done(answer, name):
        if answer.successful():
            with lock:
                lines.write(name + "\n")
        else:
            gone.set()
        room.release()

    number = max((int(name) for name in there), default=0)
    client.add_listener(lambda state: gone.set() if state != "CONNECTED" else None)
    while not gone.is_set():
        if not room.acquire(timeout=1):
            continue
        number += 1
        name = "%08d" % number
        try:
            answer = client.create_async("/account/" + name, b"x" * 50)
        except KazooException:
            break
        answer.rawlink(lambda answer, name=name: done(answer, name))
    with lock:
        lines.flush()
    os._exit(0)
