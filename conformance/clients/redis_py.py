"""What programs do with redis-py, checked from their side: redis_py.py PORT PROTOCOL python|hiredis.

Ends with `done`; a wrong reply is an AssertionError.
"""

import sys
import threading
import time

import redis
from redis.connection import ConnectionPool, _HiredisParser, _RESP2Parser, _RESP3Parser

PARSERS = {("python", 2): _RESP2Parser, ("python", 3): _RESP3Parser, ("hiredis", 2): _HiredisParser, ("hiredis", 3): _HiredisParser}


def client(parser=None):
    """A client of its own connections; of the parser that was asked for, unless another one is named."""
    port, protocol = int(sys.argv[1]), int(sys.argv[2])
    chosen = PARSERS[parser or sys.argv[3], protocol]
    return redis.Redis(connection_pool=ConnectionPool(port=port, protocol=protocol, parser_class=chosen))


def pairs(reply):
    """Streams with their entries: a list in RESP2, a map of lists of lists in RESP3."""
    if isinstance(reply, dict):
        return [(name, [entry for part in parts for entry in part]) for name, parts in reply.items()]
    return [(name, entries) for name, entries in reply]


def later(milliseconds, body):
    thread = threading.Timer(milliseconds / 1000, body)
    thread.start()
    return thread


def lists(r):
    assert r.ping()
    assert r.lpush("l", "a", b"\x00\xff\r\n", "ü") == 3
    assert r.llen("l") == 3
    assert r.lrange("l", 0, -1) == ["ü".encode(), b"\x00\xff\r\n", b"a"]
    assert r.rpop("l") == b"a"
    # A tuple in RESP2, a list in RESP3.
    assert list(r.brpop(["none", "l"], timeout=0.5)) == [b"l", b"\x00\xff\r\n"]
    r.delete("l")
    assert r.brpop("l", timeout=0.05) is None
    assert r.rpop("l") is None and r.lpop("l", 3) is None
    other = client()
    pushed = later(30, lambda: other.lpush("l", "late"))
    assert list(r.brpop("l", timeout=5)) == [b"l", b"late"]
    pushed.join()
    r.rpush("l", "one", "two")
    assert r.blmove("l", "m", 1, "LEFT", "RIGHT") == b"one"
    assert r.brpoplpush("l", "m") == b"two"
    assert r.lpop("m", 5) == [b"one", b"two"]
    assert r.exists("l") == 0 and r.type("l") == b"none"
    try:
        r.execute_command("SET", "k", "v")
        raise SystemExit("SET was done")
    except redis.ResponseError as error:
        assert str(error).startswith("unknown command 'SET'"), error


def streams(r):
    first = r.xadd("s", {"body": "one", "kind": "k"})
    assert r.xgroup_create("s", "g", id="0")
    try:
        r.xgroup_create("s", "g")
        raise SystemExit("the group was made twice")
    except redis.ResponseError as error:
        assert str(error).startswith("BUSYGROUP")
    [(name, entries)] = pairs(r.xreadgroup("g", "c", {"s": ">"}, count=10))
    assert name == b"s" and entries == [(first, {b"body": b"one", b"kind": b"k"})], entries
    assert r.xpending("s", "g")["pending"] == 1
    assert r.xack("s", "g", first) == 1
    assert r.xack("s", "g", first) == 0

    # A blocked reader gets what another client adds, and nothing else.
    assert not r.xreadgroup("g", "c", {"s": ">"}, block=30)
    other, added = client(), []
    adding = later(30, lambda: added.append(other.xadd("s", {"n": "2"})))
    [(_, entries)] = pairs(r.xreadgroup("g", "c", {"s": ">"}, block=5000))
    adding.join()
    assert entries == [(added[0], {b"n": b"2"})]
    # Not acknowledged by one, claimed by another.
    assert r.xclaim("s", "g", "d", 0, [added[0]]) == [(added[0], {b"n": b"2"})]
    [(_, entries)] = pairs(r.xreadgroup("g", "d", {"s": "0"}))
    assert entries[0][0] == added[0]
    assert r.xack("s", "g", added[0]) == 1
    assert r.xinfo_groups("s")[0]["pending"] == 0


def transactions(r):
    stream_id = r.xadd("t", {"n": "1"})
    r.xgroup_create("t", "g", id="0")
    r.xreadgroup("g", "c", {"t": ">"})
    with r.pipeline(transaction=True) as pipe:
        pipe.lpush("out", "a", "b").rpop("out").xadd("t", {"n": "2"}).xack("t", "g", stream_id).llen("out")
        pushed, popped, added, acked, left = pipe.execute()
    assert (pushed, popped, acked, left) == (2, b"a", 1, 1) and added > stream_id
    with r.pipeline(transaction=False) as pipe:
        for number in range(500):
            pipe.lpush("many", number)
        assert pipe.execute() == list(range(1, 501))
    with r.pipeline(transaction=True) as pipe:
        pipe.lpush("out", "c").execute_command("ACK", "123456789")
        try:
            pipe.execute()
            raise SystemExit("a transaction with a lost lease was done")
        except redis.ResponseError as error:
            assert "LEASE_LOST" in str(error), error
    assert r.llen("out") == 1
    assert [int(body) for body in r.rpop("many", 500)] == list(range(500))


def leases(r):
    r.execute_command("PUBLISHX", "jobs", "work", "HEADER", "kind", "test")
    assert r.execute_command("BTAKE", "jobs", "0.05", "COUNT", 2)
    # The lease ends with its connection.
    r.connection_pool.disconnect()
    deadline = time.monotonic() + 20
    taken = None
    while taken is None and time.monotonic() < deadline:
        taken = r.execute_command("BTAKE", "jobs", 1)
    [[_, token, attempt, body, headers, key]] = taken
    assert (attempt, body, key) == (2, b"work", b"jobs")
    assert headers in ({b"kind": b"test"}, [b"kind", b"test"])
    assert r.execute_command("ACK", token) == b"OK"
    try:
        r.execute_command("ACK", token)
        raise SystemExit("acknowledged twice")
    except redis.ResponseError as error:
        assert str(error).startswith("LEASE_LOST"), error


def main():
    r = client()
    for part in (lists, streams, transactions, leases):
        part(r)
    print("done", flush=True)


if __name__ == "__main__":
    main()
