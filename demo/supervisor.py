#!/usr/bin/env python3
"""The whole order flow on this machine, with crashes: `make demo`, or `make demo ORDERS=5000`.

Starts brokerd and the workers as real processes, lets the shop publish, kills brokerd and every worker once with
kill -9, waits until all is quiet, stops everything with SIGTERM, and checks the books. The last line of standard output
is one JSON object; the exit status is 1 when something does not add up.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, Callable

import accounts
import shop
from brokerd_client import BrokerError, Connection, ConnectionLost
from brokerd_frames import DeadLetter
from processes import DemoFailure, Service, free_port

WORKERS = ("inventory-1", "payment-1", "payment-2", "email-1")
# Who is killed when which share of the orders is confirmed.
KILLS = ((0.15, "email-1"), (0.35, "brokerd"), (0.55, "payment-1"), (0.7, "inventory-1"), (0.85, "payment-2"))
READY_SECONDS = 20
# Fast enough that the workers are busy when they are killed, slow enough that the shop still publishes then.
PUBLISH_SECONDS = 25
RATE_MIN = 200
STOP_SECONDS = 75
# How long a kill waits for its victim to have work.
BUSY_SECONDS = 3


class Progress:
    """One line that is updated on a terminal; elsewhere a line every few seconds."""

    def __init__(self) -> None:
        self.is_terminal = sys.stderr.isatty()
        self.began = time.monotonic()
        self.shown = 0.0

    def show(self, text: str) -> None:
        now = time.monotonic()
        if now - self.shown < (0.1 if self.is_terminal else 3):
            return
        self.shown = now
        line = f"[{now - self.began:5.1f} s] {text}"
        if self.is_terminal:
            columns = os.get_terminal_size(sys.stderr.fileno()).columns
            print(f"\r\x1b[K{line[: columns - 1]}", end="", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        start = "\r\x1b[K" if self.is_terminal else ""
        print(f"{start}[{time.monotonic() - self.began:5.1f} s] {text}", file=sys.stderr, flush=True)


def sum_of(topics: list[dict[str, Any]], state: str, name_end: str = "") -> int:
    """Over the subscriptions whose name ends so."""
    return sum(
        subscription[state]
        for topic in topics
        for subscription in topic["subscriptions"]
        if subscription["name"].endswith(name_end))


class Demo:
    def __init__(self, options: argparse.Namespace, directory: Path) -> None:
        self.orders = list(shop.orders(options.orders, options.seed))
        self.options = options
        self.directory = directory
        self.maildir = directory / "Maildir"
        self.progress = Progress()
        self.unix = f"unix://{directory}/brokerd.sock"
        self.tcp = f"tcp://127.0.0.1:{free_port()}"
        self.stock = shop.stock(options.orders)
        self.services: dict[str, Service] = {}
        self.shop: subprocess.Popen[str] | None = None
        self.shop_state: dict[str, Any] = {"sent": 0, "confirmed": 0, "duplicates": 0, "reconnects": 0, "done": False}
        self.shop_output = b""
        self.watch: Connection | None = None
        self.kills = list(KILLS)
        self.due_since: float | None = None
        self.deadline = time.monotonic() + max(170, options.orders / 30)

    # Beginning

    def prepare(self) -> None:
        state = self.directory / "workers"
        state.mkdir()
        stock_file = self.directory / "stock.json"
        stock_file.write_text(json.dumps(self.stock))
        configuration = self.directory / "workerd.conf"
        configuration.write_text(
            f"[worker]\nstate_dir = {state}\n\n"
            f"[email]\nmaildir = {self.maildir}\nfrom = orders@shop.example\nshop_name = Café Größenwahn\n\n"
            f"[inventory]\nstock = {stock_file}\n")
        binaries = Path(self.options.bin)
        self.add("brokerd", [
            str(binaries / "brokerd"), "--data-dir", str(self.directory / "broker"), "--listen", self.unix, "--listen",
            self.tcp])
        for name in WORKERS:
            # Both kinds of sockets are used, as on a real machine.
            broker = self.tcp if name.startswith("payment") else self.unix
            self.add(name, [
                str(binaries / "workerd"), "--instance", name, "--broker", broker, "--config", str(configuration)])

    def add(self, name: str, command: list[str]) -> None:
        if not os.access(command[0], os.X_OK):
            raise DemoFailure(f"{command[0]} is missing; build it first")
        self.services[name] = Service(name, command, self.directory)

    def start(self, name: str) -> None:
        began = time.monotonic()
        service = self.services[name]
        service.start()
        self.wait_until(
            lambda: service.is_ready, READY_SECONDS, lambda: f"{name} said no READY=1\n{service.last_words()}")
        self.progress.say(f"{name} is ready after {(time.monotonic() - began) * 1000:.0f} ms")

    def start_shop(self) -> None:
        rate = max(self.options.orders / PUBLISH_SECONDS, RATE_MIN)
        self.shop = subprocess.Popen(
            [
                sys.executable, str(Path(__file__).with_name("shop.py")), "--broker", self.tcp, "--orders",
                str(self.options.orders), "--seed", str(self.options.seed), "--rate", str(rate)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True)
        assert self.shop.stdout is not None
        os.set_blocking(self.shop.stdout.fileno(), False)

    # On the way

    def wait_until(self, holds: Callable[[], bool], seconds: float, failure: Callable[[], str]) -> None:
        deadline = min(time.monotonic() + seconds, self.deadline)
        while not holds():
            if time.monotonic() > deadline:
                raise DemoFailure(failure())
            self.poll()
            time.sleep(0.02)

    def poll(self) -> None:
        for service in self.services.values():
            service.poll()
        self.poll_shop()

    def poll_shop(self) -> None:
        if self.shop is None or self.shop.stdout is None:
            return
        while data := self.shop.stdout.read(65_536):
            *lines, self.shop_output = (self.shop_output + data).split(b"\n")
            for line in lines:
                self.shop_state = json.loads(line)
        code = self.shop.poll()
        if code is not None and not self.shop_state["done"]:
            raise DemoFailure(f"the shop ended with status {code} before it was done")

    def crash(self) -> None:
        """Kills whoever is due, in the middle of its work, and starts it again at once."""
        share = self.shop_state["confirmed"] / self.options.orders
        if not self.kills or share < self.kills[0][0]:
            return
        name = self.kills[0][1]
        self.due_since = self.due_since or time.monotonic()
        topics = self.topics() or []
        leased = sum_of(topics, "leased", "" if name == "brokerd" else "@" + name.rpartition("-")[0])
        if leased == 0 and time.monotonic() - self.due_since < BUSY_SECONDS:
            return
        self.services[name].kill()
        self.progress.say(
            f"kill -9 {name} at {self.shop_state['confirmed']} confirmed orders, with {leased} deliveries in work")
        self.kills.pop(0)
        self.due_since = None
        self.start(name)

    def topics(self) -> list[dict[str, Any]] | None:
        """What the broker says; None while it is away."""
        try:
            if self.watch is None:
                self.watch = Connection.open(self.unix, client="demo", instance="supervisor")
            return self.watch.call("topic_list", wait_seconds=10)
        except (OSError, ConnectionLost, BrokerError):
            if self.watch is not None:
                self.watch.close()
                self.watch = None
            return None

    def follow(self) -> None:
        """Until all orders are confirmed, everybody was killed once, and no message waits anywhere."""
        checked = 0.0
        while True:
            self.poll()
            self.crash()
            if time.monotonic() - checked > 0.25:
                checked = time.monotonic()
                topics = self.topics()
                if topics is not None and self.is_quiet(topics):
                    return
            if time.monotonic() > self.deadline:
                raise DemoFailure(self.describe_unrest())
            time.sleep(0.02)

    def is_quiet(self, topics: list[dict[str, Any]]) -> bool:
        ready, leased, delayed, dead = (sum_of(topics, state) for state in ("ready", "leased", "delayed", "dead"))
        mails = sum(1 for _ in (self.maildir / "new").iterdir()) if (self.maildir / "new").is_dir() else 0
        self.progress.show(
            f"{self.shop_state['confirmed']}/{self.options.orders} orders confirmed · {mails} mails · ready {ready} · "
            f"leased {leased} · delayed {delayed} · dead {dead} · kills left {len(self.kills)}")
        return self.shop_state["done"] and not self.kills and ready + leased + delayed == 0

    def describe_unrest(self) -> str:
        lines = [f"not quiet in time; the shop: {self.shop_state}"]
        for topic in self.topics() or []:
            for one in topic["subscriptions"]:
                counts = ", ".join(f"{state} {one[state]}" for state in ("ready", "leased", "delayed", "dead"))
                lines.append(f"  {one['name']}: {counts}, consumers {one['consumers']}")
        reasons = Counter(f"{letter.subscription}: {letter.reason[:100]}" for letter in self.dead_letters())
        lines += [f"  {count} dead letters of {reason}" for reason, count in reasons.most_common(5)]
        lines += [service.last_words(4) for service in self.services.values()]
        return "\n".join(lines)

    # End

    def dead_letters(self) -> list[DeadLetter]:
        letters: list[DeadLetter] = []
        for topic in self.topics() or []:
            for subscription in topic["subscriptions"]:
                start = 0
                while self.watch is not None:
                    page = self.watch.call(
                        "dead_list", subscription=subscription["name"], from_id=start, limit=1000)
                    letters += page
                    if not page:
                        break
                    start = page[-1].id + 1
        return letters

    def stop(self) -> None:
        """Workers first, then the broker; each must end with 0."""
        began = time.monotonic()
        if self.watch is not None:
            self.watch.close()
        for group in (WORKERS, ("brokerd",)):
            for name in group:
                self.services[name].terminate()
            for name in group:
                self.services[name].wait_for_exit(time.monotonic() + STOP_SECONDS)
        self.progress.say(f"everything stopped with 0 after SIGTERM, in {time.monotonic() - began:.1f} s")

    def destroy(self) -> None:
        if self.shop is not None and self.shop.poll() is None:
            self.shop.kill()
            self.shop.wait()
        for service in self.services.values():
            service.destroy()

    def run(self) -> accounts.Accounts:
        self.prepare()
        for name in self.services:
            self.start(name)
        self.start_shop()
        self.follow()
        self.progress.say(
            f"quiet: the shop connected again {self.shop_state['reconnects']} times and was told "
            f"{self.shop_state['duplicates']} times that an order was there already")
        letters = self.dead_letters()
        self.stop()
        evidence = accounts.gather(self.directory / "workers", self.maildir, letters)
        return accounts.balance(self.orders, evidence, self.stock)


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs the order flow with crashes, and checks the books.")
    parser.add_argument("--bin", required=True, help="directory of the built brokerd and workerd")
    parser.add_argument("--orders", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.orders < 20:
        parser.error("--orders is 20 or more")
    directory = Path(tempfile.mkdtemp(prefix="brokerd-demo-"))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    demo = Demo(options, directory)
    try:
        books = demo.run()
    except (DemoFailure, FileNotFoundError) as failure:
        demo.progress.say(f"the demo failed: {failure}")
        print(f"left to look at: {directory}", file=sys.stderr)
        return 1
    finally:
        demo.destroy()
    print(accounts.table(books))
    for fault in books.faults[:20]:
        print(f"FAULT: {fault}")
    if len(books.faults) > 20:
        print(f"FAULT: and {len(books.faults) - 20} more")
    killed = ", ".join(name for name, service in demo.services.items() if service.kills)
    print(f"killed with kill -9 on the way: {killed}")
    broken = sum(order.is_broken for order in demo.orders)
    print(f"broken on purpose, to end as dead letters: {broken} of {len(demo.orders)} orders")
    print(f"mails: {demo.maildir}/new\ndatabases: {directory}/workers\nlog of the broker: {directory}/broker")
    print(books.line)
    return 1 if books.faults else 0


if __name__ == "__main__":
    sys.exit(main())
