#!/usr/bin/env python3
"""A coffee shop in another language: makes orders and publishes them to brokerd as order.created.

    shop.py --broker tcp://127.0.0.1:7470 --orders 1000 --seed 1 --rate 100

Each order has its number as dedup id, so the shop may send an order again after a lost connection without making it
twice. Progress goes to standard output, one JSON object a line; the last one has "done": true.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Iterator

from brokerd_client import BrokerError, Connection, ConnectionLost, backoff_seconds
from brokerd_frames import Message, Receipt

TOPIC = "order.created"
BATCH = 20
BATCHES_AHEAD = 10
UNCONFIRMED_LIMIT = 205
# Refusals that pass: the broker stops, too much is unconfirmed, the topic or the disk is full.
PASSING = {8, UNCONFIRMED_LIMIT, 209, 210}

# sku, name, price in cents, how often it is ordered
MENU = (
    ("espresso-1kg", "Espresso „Nachtschicht“, 1 kg", 2450, 12),
    ("filter-yirgacheffe-250g", "Yirgacheffe, filter roast, 250 g", 1290, 10),
    ("decaf-500g", "Café décaféiné, 500 g", 1580, 6),
    ("filter-papers-100", "Paper filters, 100", 390, 9),
    ("oat-drink-1l", "Haferdrink Barista, 1 l", 245, 14),
    ("matcha-40g", "抹茶 Matcha, 40 g", 1850, 4),
    ("mug-blue", "Mug “Żółw”, blue", 1400, 5),
    ("descaler-250ml", "Descaler, 250 ml", 690, 4),
    ("grinder-hand", "Hand grinder", 8900, 2),
    ("gesha-200g", "Gesha, auction lot, 200 g", 5900, 2),
)
# Scarce goods and the share of the orders that they last for.
SCARCE = {"grinder-hand": 0.04, "gesha-200g": 0.025}

NAMES = (
    "Zoë Čapek", "Søren Ærø", "Łukasz Wójcik", "Müller, Jürgen", "Γιώργος Παππάς", "Владимир Иванов",
    "李小龍", "佐藤 さくら", "김민준", "مريم حداد", "José \"Pepe\" Núñez", "Anaïs d'Été", "Ngô Thị Hương",
    "Björk Guðmundsdóttir", "O. Nîmes-Šťastný", "Ada Lovelace", "Grace Hopper", "🫖 Tea Lover", "अनुष्का शर्मा",
    "Renée",
)
# payment token, how often it is used, whether the money comes in the end
TOKENS = (
    ("tok_ok", 80, True), ("tok_declined", 6, False), ("tok_rate_limited", 6, True), ("tok_timeout", 6, True),
    ("tok_stolen", 2, False),
)
PAYS = {token: pays for token, _, pays in TOKENS}
BROKEN_EVERY = 250


@dataclass(frozen=True)
class Order:
    event: dict[str, Any]
    # Breaks a rule of docs/EVENTS.md on purpose, so that it becomes a dead letter.
    is_broken: bool

    @property
    def id(self) -> str:
        return self.event["order_id"]

    @property
    def pays(self) -> bool:
        return PAYS[self.event["payment_token"]]

    def message(self) -> Message:
        return Message(
            topic=TOPIC, body=json.dumps(self.event, ensure_ascii=False).encode(),
            headers=(("content-type", "application/json"),), dedup_id=f"{TOPIC}:{self.id}")


def orders(count: int, seed: int) -> Iterator[Order]:
    """The same orders for the same seed."""
    chance = random.Random(seed)
    opening = datetime(2025, 3, 1, 8, 0, tzinfo=timezone(timedelta(hours=1)))
    for number in range(1, count + 1):
        skus = chance.choices(MENU, [weight for *_, weight in MENU], k=chance.randint(1, 4))
        items = [
            {"sku": sku, "name": name, "quantity": chance.choice((1, 1, 1, 2, 3)), "unit_price": price}
            for sku, name, price, _ in skus
        ]
        name = chance.choice(NAMES)
        is_broken = number % BROKEN_EVERY == BROKEN_EVERY // 2
        total = sum(item["quantity"] * item["unit_price"] for item in items)
        if is_broken:
            items[0]["quantity"] = 0
        yield Order(
            {
                "order_id": f"A-{seed}-{number:06}",
                "customer": {"name": name, "email": f"customer-{NAMES.index(name)}@shop.example"},
                "items": items,
                "total": total,
                "currency": "EUR",
                "payment_token": chance.choices([t for t, *_ in TOKENS], [weight for _, weight, _ in TOKENS])[0],
                "placed_at": (opening + timedelta(seconds=number)).isoformat(),
            },
            is_broken)


def stock(count: int) -> dict[str, int]:
    """Units of each SKU: enough for `count` orders, but for the scarce ones."""
    return {sku: max(2, round(count * SCARCE[sku])) if sku in SCARCE else count * 12 for sku, *_ in MENU}


class Publisher:
    """Publishes batches ahead of their confirmations, across any number of connections."""

    def __init__(self, broker: str, rate: float) -> None:
        self.broker = broker
        self.rate = rate
        self.connection: Connection | None = None
        self.in_flight: deque[tuple[list[Order], Future[Any]]] = deque()
        self.again: deque[list[Order]] = deque()
        self.sent = self.confirmed = self.duplicates = self.reconnects = 0
        self.reported = 0.0

    def report(self, done: bool = False) -> None:
        self.reported = time.monotonic()
        state = {name: getattr(self, name) for name in ("sent", "confirmed", "duplicates", "reconnects")}
        print(json.dumps(state | {"done": done}), flush=True)

    def connect(self) -> Connection:
        attempt = 0
        while self.connection is None:
            try:
                self.connection = Connection.open(self.broker, client="coffee-shop 1", instance="shop-1")
            except (OSError, ConnectionLost, BrokerError) as error:
                if isinstance(error, BrokerError) and error.code not in PASSING:
                    raise
                time.sleep(backoff_seconds(attempt))
                attempt += 1
        return self.connection

    def send(self, batch: list[Order]) -> None:
        try:
            future = self.connect().send("publish", messages=[order.message() for order in batch])
            self.in_flight.append((batch, future))
        except ConnectionLost:
            self.again.appendleft(batch)
            self.lose()

    def lose(self) -> None:
        """The connection is gone: what it did not confirm has to go again, under the same dedup ids."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None
            self.reconnects += 1

    def settle_oldest(self) -> None:
        batch, future = self.in_flight.popleft()
        try:
            results = future.result(30)
        except (ConnectionLost, TimeoutError):
            self.again.append(batch)
            return self.lose()
        except BrokerError as error:
            if error.code not in PASSING:
                raise
            results = [error] * len(batch)
        refused = []
        for order, result in zip(batch, results, strict=True):
            if isinstance(result, Receipt):
                self.confirmed += 1
                self.duplicates += result.is_duplicate
            elif result.code in PASSING:
                refused.append(order)
            else:
                raise result
        if refused:
            self.again.append(refused)
            time.sleep(0.05)

    def run(self, all_orders: Iterator[Order]) -> None:
        began = time.monotonic()
        batch: list[Order] = []
        for order in all_orders:
            batch.append(order)
            if len(batch) == BATCH:
                self.publish(batch, began)
                batch = []
        if batch:
            self.publish(batch, began)
        while self.in_flight or self.again:
            self.drain(0)
        self.report(done=True)

    def publish(self, batch: list[Order], began: float) -> None:
        self.drain(BATCHES_AHEAD - 1)
        self.send(batch)
        self.sent += len(batch)
        while (wait := began + self.sent / self.rate - time.monotonic()) > 0:
            self.drain(BATCHES_AHEAD)
            if time.monotonic() - self.reported > 0.2:
                self.report()
            time.sleep(min(wait, 0.05))

    def drain(self, ahead: int) -> None:
        """Takes the confirmations that are there, and waits until at most `ahead` batches are on their way."""
        while self.in_flight and (len(self.in_flight) > ahead or self.in_flight[0][1].done()):
            self.settle_oldest()
        while self.again and len(self.in_flight) <= ahead:
            self.send(self.again.popleft())


def main() -> int:
    parser = argparse.ArgumentParser(description="Publishes the orders of a coffee shop to brokerd.")
    parser.add_argument("--broker", required=True, help="tcp://HOST:PORT or unix:///path")
    parser.add_argument("--orders", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=100, help="orders per second")
    options = parser.parse_args()
    try:
        Publisher(options.broker, options.rate).run(orders(options.orders, options.seed))
    except BrokerError as error:
        print(f"shop: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
