"""Clients that do everything with redis-py while the broker is about to be killed, and tell all of it as it happens.

    crash_driver.py SOCKET SEED LIFE FIRST_NUMBER [drain]

Each event is a line of JSON: what is asked before it is sent, what is answered after it was read. The test's checker judges
them. `drain` takes and acknowledges everything that is left, alone. LIFE keeps the numbers of two runs apart.
"""

import json
import random
import sys
import threading

import redis

SOCKET, SEED, LIFE, FIRST = sys.argv[1], *map(int, sys.argv[2:5])
LISTS, GROUPS = ["plain@x", "plain@y"], ["g", "h"]
# Deliveries of a group belong to no connection, and have no token: both are made up, the same for all clients of a life.
GROUP_CONNECTION = LIFE * 1000 + 999
MADE_UP_LEASES = (1 << 60) + LIFE * 1_000_000
# A pop tells no id.
MADE_UP_IDS = 1 << 50


def fingerprint(body):
    """FNV-1a with 64 bits."""
    result = 0xCBF29CE484222325
    for byte in body:
        result = ((result ^ byte) * 0x100000001B3) & (1 << 64) - 1
    return result


class Story:
    """The events of all clients in one order."""

    def __init__(self):
        self.lock = threading.Lock()
        self.operations = 0
        self.numbers = FIRST
        self.leases = MADE_UP_LEASES

    def _say(self, event, **fields):
        print(json.dumps({"event": event, **fields}), flush=True)

    def invoked(self, kind, connection, publishes=(), settles=(), take=None):
        with self.lock:
            self.operations += 1
            self._say(
                "invoked", kind=kind, connection=connection, publishes=list(publishes), take=take,
                settles=[{"lease": lease, "verdict": verdict} for lease, verdict in settles],
            )  # fmt: skip
            return self.operations - 1

    def answered(self, operation, answer, **fields):
        with self.lock:
            self._say("answered", operation=operation, answer=answer, **fields)

    def delivered(self, delivery):
        with self.lock:
            self._say("delivered", delivery=delivery)

    def disconnected(self, connection):
        with self.lock:
            self._say("disconnected", connection=connection)

    def failed(self, text):
        with self.lock:
            self._say("failed", text=text)

    def body(self, size):
        """A body that begins with its number."""
        with self.lock:
            self.numbers += 1
            number = self.numbers
        return number, number.to_bytes(8, "big") + random.Random(number).randbytes(max(0, size - 8))

    def lease(self):
        with self.lock:
            self.leases += 1
            return self.leases


def delivery(connection, subscription, lease, message, attempt, body):
    return {
        "connection": connection, "subscription": subscription, "lease": lease, "id": message, "attempt": attempt,
        "number": int.from_bytes(body[:8], "big"), "fingerprint": fingerprint(body),
    }  # fmt: skip


class Client:
    """One connection. Its leases end with it; those of a group do not."""

    held_by_groups = []
    stale = []

    def __init__(self, story, number):
        self.story = story
        self.dice = random.Random(f"{SEED} {LIFE} {number}")
        self.connection = LIFE * 1000 + number
        self.name = f"client-{number}"
        # Used by one thread alone, its pool has one connection, for pipelines as well; a single_connection_client would have two.
        self.redis = redis.Redis(unix_socket_path=SOCKET, protocol=self.dice.choice([2, 3]))
        self.held = []

    def run(self):
        acts = [
            (22, self.publish_one), (12, self.push), (8, self.push_once), (8, self.pop_once), (16, self.take), (14, self.settle),
            (8, self.commit), (4, self.settle_stale), (12, self.add), (14, self.read_group), (16, self.acknowledge_group),
        ]  # fmt: skip
        """Returns whether it left by itself."""
        try:
            while True:
                self.dice.choices([act for _, act in acts], [weight for weight, _ in acts])[0]()
                if self.dice.random() < 0.004:
                    Client.stale += [lease for lease, _ in self.held][-5:]
                    self.story.disconnected(self.connection)
                    self.redis.close()
                    return True
        except redis.ConnectionError:
            self.story.disconnected(self.connection)
            return False

    def publication(self, topic, dedup=False):
        number, body = self.story.body(self.dice.choice([8, 40, 200, 400, 6000] if self.dice.random() < 0.2 else [24]))
        publish = {"number": number, "topic": topic, "fingerprint": fingerprint(body)}
        words = ["PUBLISHX", topic, body]
        if dedup and self.dice.random() < 0.4:
            publish["dedupID"] = f"d{number}"
            words += ["DEDUP", f"d{number}"]
        return publish, body, words

    # Lists

    def publish_one(self):
        publish, _, words = self.publication("plain", dedup=True)
        operation = self.story.invoked("publish", self.connection, [publish])
        message, is_duplicate = self.redis.execute_command(*words)
        self.story.answered(operation, "published", receipts=[{"id": int(message), "isDuplicate": is_duplicate == 1}])

    def push(self):
        made = [self.publication("plain") for _ in range(self.dice.randint(1, 8))]
        operation = self.story.invoked("publish", self.connection, [publish for publish, _, _ in made])
        self.redis.lpush("plain", *[body for _, body, _ in made])
        self.story.answered(operation, "published", receipts=[{} for _ in made])

    def push_once(self):
        made = [self.publication("once") for _ in range(self.dice.randint(1, 3))]
        operation = self.story.invoked("publish", self.connection, [publish for publish, _, _ in made])
        self.redis.lpush("once", *[body for _, body, _ in made])
        receipts = [{"id": MADE_UP_IDS + publish["number"]} for publish, _, _ in made]
        self.story.answered(operation, "published", receipts=receipts)

    def pop_once(self):
        operation = self.story.invoked("take", self.connection, take="once")
        popped = self.redis.brpop("once", timeout=0.01)
        taken = None
        if popped:
            number = int.from_bytes(popped[1][:8], "big")
            taken = delivery(self.connection, "once", 0, MADE_UP_IDS + number, 1, popped[1])
        self.story.answered(operation, "taken", delivery=taken)
        return taken is not None

    def take(self, timeout=0.01):
        taken = self.redis.execute_command("BTAKE", *LISTS, timeout, "COUNT", self.dice.randint(1, 6)) or []
        for message, token, attempt, body, _, key in taken:
            lease = int(token)
            self.story.delivered(delivery(self.connection, key.decode(), lease, int(message), attempt, body))
            self.held.append((lease, attempt))
        return len(taken)

    def settle(self, verdict=None):
        if not self.held:
            return
        verdict = verdict or self.dice.choices(["ack", "fail", "release", "reject"], [72, 12, 10, 6])[0]
        count = self.dice.randint(1, 4) if verdict == "ack" else 1
        leases = [self.held.pop(0)[0] for _ in range(min(count, len(self.held)))]
        self.ask_to_settle(leases, verdict)

    def ask_to_settle(self, leases, verdict):
        operation = self.story.invoked("settle", self.connection, settles=[(lease, verdict) for lease in leases])
        try:
            words = {"fail": ["no luck"], "reject": ["no use"]}.get(verdict, [])
            reply = self.redis.execute_command(verdict.upper(), *leases, *words)
            results = [each == b"OK" for each in (reply if isinstance(reply, list) else [reply])]
        except redis.ResponseError:
            results = [False]
        Client.stale = (Client.stale + leases)[-20:]
        self.story.answered(operation, "settled", results=results)

    def settle_stale(self):
        if Client.stale:
            self.ask_to_settle([self.dice.choice(Client.stale)], self.dice.choice(["ack", "fail", "release", "reject"]))

    def commit(self):
        """Acknowledgements and publishes in one transaction."""
        if not self.held:
            return
        leases = [self.held.pop(0)[0] for _ in range(min(self.dice.randint(1, 3), len(self.held)))]
        asked = leases + ([self.dice.choice(Client.stale)] if Client.stale and self.dice.random() < 0.1 else [])
        made = [self.publication("plain") for _ in range(self.dice.randint(0, 3))]
        operation = self.story.invoked(
            "commit", self.connection, [publish for publish, _, _ in made], [(lease, "ack") for lease in asked])
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.execute_command("ACK", *asked)
            for _, _, words in made:
                pipe.execute_command(*words)
            try:
                replies = pipe.execute()[1:]
            except redis.ResponseError:
                # Discarded as a whole: the leases are still there.
                self.held += [(lease, 0) for lease in leases]
                return self.story.answered(operation, "refused")
        Client.stale = (Client.stale + leases)[-20:]
        self.story.answered(operation, "committed", receipts=[{"id": int(message)} for message, _ in replies])

    # Streams

    def add(self):
        publish, body, _ = self.publication("log")
        operation = self.story.invoked("publish", self.connection, [publish])
        entry = self.redis.xadd("log", {"body": body})
        self.story.answered(operation, "published", receipts=[{"id": int(entry.split(b"-")[1])}])

    def read_group(self, group=None):
        group = group or self.dice.choice(GROUPS)
        reply = self.redis.xreadgroup(group, self.name, {"log": ">"}, count=self.dice.randint(1, 8), block=5) or []
        entries = [entry for stream in (reply.values() if isinstance(reply, dict) else reply) for entry in flat(stream)]
        for entry, fields in entries:
            lease, message = self.story.lease(), int(entry.split(b"-")[1])
            self.story.delivered(delivery(GROUP_CONNECTION, f"log@{group}", lease, message, 1, fields[b"body"]))
            Client.held_by_groups.append((group, entry, lease))
        return len(entries)

    def acknowledge_group(self):
        """One that this client or another one has read."""
        try:
            group, entry, lease = Client.held_by_groups.pop(0)
        except IndexError:
            return
        for _ in range(2 if self.dice.random() < 0.1 else 1):
            operation = self.story.invoked("settle", GROUP_CONNECTION, settles=[(lease, "ack")])
            count = self.redis.xack("log", group, entry)
            self.story.answered(operation, "settled", results=[count == 1])


def flat(stream):
    """The entries of `[name, entries]`, or of the list of lists that a map of RESP3 has."""
    if isinstance(stream[0], bytes):
        return stream[1]
    return [entry for part in stream for entry in part]


def live(story, number):
    """One client after the other, until the broker is gone."""
    try:
        while Client(story, number).run():
            number += 10
    except redis.ConnectionError:
        pass
    except Exception as error:
        story.failed(repr(error))


def drain(story):
    client = Client(story, 0)
    while client.take(0.05):
        while client.held:
            client.settle("ack")
    while client.pop_once():
        pass
    for group in GROUPS:
        while client.read_group(group):
            while Client.held_by_groups:
                client.acknowledge_group()
    story.disconnected(client.connection)


def main():
    story = Story()
    if sys.argv[5:] == ["drain"]:
        return drain(story)
    threads = [threading.Thread(target=live, args=(story, number)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
