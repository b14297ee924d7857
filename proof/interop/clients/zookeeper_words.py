"""HOST HOST: compares the texts of the four-letter words of two fresh servers, without what differs by nature."""
import re
import socket
import sys

from kazoo.client import KazooClient

WORDS = "ruok srvr stat conf cons dump wchs wchc wchp isro gtmk dirs mntr crst srst nope".split()
SORTED = ("stat", "cons", "dump", "wchc", "wchp")


def ask(host, word):
    address, port = host.split(":")
    with socket.create_connection((address, int(port)), timeout=10) as connection:
        connection.sendall(word.encode())
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return answer.decode()


def normal(text, word, host, sessions):
    for index, session in enumerate(sessions):
        text = text.replace("0x%x" % session, "SESSION%d" % index)
    text = text.replace(host.split(":")[1], "PORT")
    text = re.sub(r"127\.0\.0\.1:\d+", "CLIENT", text)
    text = re.sub(r"(est|lresp|llat|minlat|avglat|maxlat)=\d+", r"\1=N", text)
    text = re.sub(r"Latency.*", "Latency", text)
    text = re.sub(r"expire at .*:", "expire at TIME:", text)
    # The original keeps a bucket of its wheel for a while when all sessions have left it.
    text = re.sub(r"(?m)^0 expire at TIME:\n", "", text)
    text = re.sub(r"Sets \(\d+\)/", "Sets (N)/", text)
    text = re.sub(r"(Zookeeper version: [0-9.]+).*", r"\1", text)
    text = re.sub(r"(dataDir|dataLogDir)=.*", r"\1=DIR", text)
    text = re.sub(r"(dataDirSize|dataLogSize)=\d+|(datadir|logdir)_size: \d+", "SIZE", text)
    lines = text.split("\n")
    if word == "mntr":
        # Figures that do not depend on the clock are compared whole.
        whole = ("_per_namespace\t", "outstanding_changes_")
        lines = sorted(line if any(part in line for part in whole) else line.split("\t")[0] for line in lines)
    return sorted(lines) if word in SORTED else lines


def traffic(client):
    client.create("/other", b"12345")
    client.create("/other/one", b"")
    client.create("/other/two", b"123")
    client.set("/other", b"1234567")
    client.set_acls("/other/one", client.get_acls("/other/one")[0])
    for name in ("/other", "/other/none", "/none"):
        client.exists(name)
    client.get("/other/two")
    client.get_children("/other")
    client.get_children("/other", include_data=True)
    done = client.transaction()
    done.check("/other", 1)
    done.set_data("/other/two", b"1")
    done.delete("/other/one")
    done.commit()
    failed = client.transaction()
    # The original counts what a failed part takes back as queued, and never as removed.
    failed.check("/other", 99)
    failed.delete("/other/two")
    failed.commit()
    # The last sight of it: an ephemeral node goes with its session later.
    client.delete("/other/two")


def run(host):
    client = KazooClient(hosts=host, timeout=30.0)
    client.start()
    client.create("/words", b"x", ephemeral=True)
    client.get("/words", watch=print)
    client.get_children("/", watch=print)
    traffic(client)
    session = client.client_id[0]
    answers = {word: normal(ask(host, word), word, host, [session]) for word in WORDS}
    client.stop()
    return answers


one, other = run(sys.argv[1]), run(sys.argv[2])
different = [word for word in WORDS if one[word] != other[word]]
for word in different:
    print("==", word)
    print("only the first:", sorted(set(one[word]) - set(other[word])))
    print("only the second:", sorted(set(other[word]) - set(one[word])))
if not different:
    print("same words")
