"""The shop publishes each order once. Run all tests of the demo with: python3 -m unittest discover demo"""

from __future__ import annotations

import random
import socket
import struct
import sys
import threading
import time
import unittest
from collections import Counter
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import shop
from brokerd_client import Connection, ConnectionLost
from brokerd_frames import Cutter, Reader, frame_bytes


class FakeBroker:
    """Answers HELLO and PUBLISH, remembers dedup ids, and loses connections before or after it has stored."""

    def __init__(self, seed: int, losses: int) -> None:
        self.chance = random.Random(seed)
        self.losses = losses
        self.stored: Counter[str] = Counter()
        self.ids: dict[str, int] = {}
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                connected, _ = self.listener.accept()
            except OSError:
                return
            with connected:
                try:
                    self.serve(connected)
                except OSError:
                    pass

    def serve(self, connected: socket.socket) -> None:
        cutter = Cutter(read={1: lambda reader: reader.take(len(reader.data) - 12), 0x10: self.messages, 0x7F: id})
        while data := connected.recv(65_536):
            for frame in cutter.feed(data):
                if frame.kind == 1:
                    hello = struct.pack(">BHQ5I", 1, 0, 1, 1_000, 8 << 20, 1 << 20, 16 << 10, 10_000)
                    connected.sendall(frame_bytes(0x81, frame.correlation, hello))
                elif frame.kind == 0x10:
                    fate = self.chance.random() if self.losses else 1
                    if fate < 0.2:
                        self.losses -= 1
                        return
                    results = b"".join(self.store(dedup_id) for dedup_id in frame.value)
                    if fate < 0.4:
                        self.losses -= 1
                        return
                    fields = struct.pack(">I", len(frame.value)) + results
                    connected.sendall(frame_bytes(0x83, frame.correlation, fields))

    def store(self, dedup_id: str) -> bytes:
        if self.chance.random() < 0.02:
            return struct.pack(">BHH", 2, 209, 0)
        if dedup_id in self.ids:
            return struct.pack(">BQ", 1, self.ids[dedup_id])
        self.stored[dedup_id] += 1
        self.ids[dedup_id] = len(self.ids) + 1
        return struct.pack(">BQ", 0, self.ids[dedup_id])

    @staticmethod
    def messages(reader: Reader) -> list[str]:
        def message() -> str:
            reader.text()
            reader.get("BB")
            dedup_id = reader.text()
            reader.headers()
            reader.take(reader.one("I"))
            return dedup_id

        return reader.list(message)


class Publishing(unittest.TestCase):
    def test_every_order_is_stored_once_whatever_connection_breaks(self) -> None:
        for seed in range(4):
            broker = FakeBroker(seed, losses=12)
            publisher = shop.Publisher(broker.url, rate=1e9)
            with redirect_stdout(StringIO()):
                publisher.run(shop.orders(500, seed))
            broker.listener.close()
            expected = {f"order.created:{order.id}" for order in shop.orders(500, seed)}
            self.assertEqual(broker.stored, Counter(expected), f"seed {seed}")
            self.assertEqual(publisher.confirmed, 500)
            self.assertEqual(broker.losses, 0)
            self.assertGreaterEqual(publisher.reconnects, 1)
            self.assertGreater(publisher.duplicates, 0)

    def test_a_silent_broker_is_noticed(self) -> None:
        broker = FakeBroker(1, losses=0)
        connection = Connection.open(broker.url, client="test", instance="test")
        connection.hello["heartbeat"] = 100
        began = time.monotonic()
        self.assertTrue(connection.closed.wait(10))
        self.assertLess(time.monotonic() - began, 5)
        with self.assertRaises(ConnectionLost):
            connection.call("ping")

    def test_nobody_there_is_an_error(self) -> None:
        with self.assertRaises(OSError):
            Connection.open("unix:///nonexistent/socket", client="test", instance="test")
        with self.assertRaises(ValueError):
            Connection.open("http://x", client="test", instance="test")

    def test_the_same_seed_gives_the_same_orders(self) -> None:
        first, again = list(shop.orders(600, 5)), list(shop.orders(600, 5))
        self.assertEqual(first, again)
        self.assertNotEqual(first, list(shop.orders(600, 6)))
        self.assertEqual(len({order.id for order in first}), 600)
        self.assertEqual(sum(order.is_broken for order in first), 2)
        self.assertEqual({order.event["payment_token"] for order in first}, shop.PAYS.keys())
        for order in first:
            if not order.is_broken:
                items = order.event["items"]
                self.assertEqual(order.event["total"], sum(item["quantity"] * item["unit_price"] for item in items))


if __name__ == "__main__":
    unittest.main()
