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
        # Bytes by the first name of a path: the original alone counts them.
        keys = (line.split("\t")[0] for line in lines)
        lines = sorted(key for key in keys if not key.endswith("_per_namespace"))
    return sorted(lines) if word in SORTED else lines


def run(host):
    client = KazooClient(hosts=host, timeout=30.0)
    client.start()
    client.create("/words", b"x", ephemeral=True)
    client.get("/words", watch=print)
    client.get_children("/", watch=print)
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
