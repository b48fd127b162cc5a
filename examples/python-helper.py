#!/usr/bin/env python3
"""A whole helper in Python, for process mode. It keeps each blob in a file of its own, named by its oid:
git config odb.magic.subprocessCommand "python3 /path/to/python-helper.py /path/to/store" """
import hashlib, os, pathlib, sys, tempfile, zlib

store, stdin, stdout = pathlib.Path(sys.argv[1]), sys.stdin.buffer, sys.stdout.buffer
def packets():  # up to the next flush-pkt; at EOF git is done with us
    while length := int(stdin.read(4) or sys.exit(), 16):
        yield stdin.read(length - 4)
def values():  # of "key=value" lines, with or without LF
    return [packet.decode().rstrip("\n").partition("=")[2] for packet in packets()]
def send(*payloads):  # packets, a flush-pkt, and out with it: git waits for the whole answer
    stdout.write(b"".join(b"%04x%s" % (len(p) + 4, p) for p in payloads) + b"0000")
    stdout.flush()
def is_named(data, oid):
    return oid == hashlib.new("sha1" if len(oid) == 40 else "sha256", b"blob %d\0%s" % (len(data), data)).hexdigest()
def have():  # 500 whole lines a packet; git's version 5 takes a LF at its very end for one more, bad line
    all = [f"{file.name} {file.stat().st_size} blob".encode() for file in store.glob("[0-9a-f]*")]
    return send(*[b"\n".join(all[at:at + 500]) for at in range(0, len(all), 500)]) or "success"
def get(oid):
    data = (store / oid).read_bytes() if (store / oid).exists() else None
    good = data is not None and is_named(data, oid)  # success over other bytes: git would keep them
    loose = zlib.compress(b"blob %d\0%s" % (len(data), data), 1) if good else b""
    send(*[loose[at:at + 65516] for at in range(0, len(loose), 65516)])
    return "success" if good else "notfound" if data is None else "error"
def put(oid, size, kind):
    data = b"".join(packets())  # read to its end before it is judged
    if kind != "blob" or len(data) != int(size) or not is_named(data, oid): return "error"
    with tempfile.NamedTemporaryFile(dir=store, prefix="put-", delete=False) as file:
        file.write(data); file.flush(); os.fsync(file.fileno())
    os.replace(file.name, store / oid); os.fsync(folder)  # success means durable: the bytes and the name
    return "success"
commands = {"get_git_obj": get, "put_raw_obj": put, "have": have, "init": lambda: "success"}
store.mkdir(parents=True, exist_ok=True); folder = os.open(store, os.O_RDONLY)
values(); send(b"git-read-object-server\n", b"version=1\n")
send(*[b"capability=%s\n" % name.encode() for name in values() if name in commands and name != "init"])
while True:
    command, *arguments = values()
    send(b"status=%s\n" % commands[command](*arguments).encode())
