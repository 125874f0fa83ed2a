"""A producer and a consumer that outlive the broker: reconnect.py PORT COUNT.

Each number is pushed until the push was answered, and taken until the take was; redis-py connects again by itself. The number
of a push whose answer was lost may come twice. Says `middle` when half is done, then goes on slowly.
"""

import sys
import threading
import time

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

PORT, COUNT = int(sys.argv[1]), int(sys.argv[2])


def client():
    retry = Retry(ConstantBackoff(0.05), 400)
    return redis.Redis(port=PORT, retry=retry, retry_on_error=[redis.ConnectionError, redis.TimeoutError, OSError])


def produce():
    r = client()
    for number in range(COUNT):
        r.lpush("work", number)
        if number == COUNT // 2:
            print("middle", flush=True)
        if number > COUNT // 2:
            time.sleep(0.005)


def consume(group_reads):
    r, seen = client(), set()
    while len(seen) < COUNT:
        for _, entries in r.xreadgroup("readers", "one", {"work": ">"}, count=20, block=1000) or []:
            for entry, fields in entries:
                seen.add(int(fields[b"body"]))
                r.xack("work", "readers", entry)
                group_reads.append(entry)


def main():
    reads = []
    client().xgroup_create("work", "readers", id="0", mkstream=True)
    threads = [threading.Thread(target=produce), threading.Thread(target=consume, args=(reads,))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client().xpending("work", "readers")["pending"] == 0
    print(f"done, {len(reads) - COUNT} came again", flush=True)


if __name__ == "__main__":
    main()
