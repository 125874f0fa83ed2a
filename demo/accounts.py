"""The books of the demo: what became of every order, by the workers' own databases, the Maildir and the dead letters.

Nothing here asks the broker whether all is well; it counts what is there.
"""

from __future__ import annotations

import email.parser
import json
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterable

from brokerd_frames import DeadLetter
from shop import Order

FINAL_MAIL = {"paid": "order.paid", "rejected": "order.rejected", "payment_failed": "payment.failed"}


@dataclass
class Evidence:
    """What the workers left behind."""

    reservations: dict[str, str] = field(default_factory=dict)
    rejections: set[str] = field(default_factory=set)
    stock: dict[str, int] = field(default_factory=dict)
    taken: Counter[str] = field(default_factory=Counter)
    refusals: set[str] = field(default_factory=set)
    charges: Counter[str] = field(default_factory=Counter)
    charged_amounts: dict[str, int] = field(default_factory=dict)
    mails: Counter[str] = field(default_factory=Counter)
    # Mails that the outbox does not know to be sent.
    unsent: list[str] = field(default_factory=list)
    dead: dict[str, list[str]] = field(default_factory=dict)


def databases(directory: Path) -> dict[str, list[Path]]:
    """SQLite files by the names of their tables."""
    found: dict[str, list[Path]] = {}
    for path in sorted(directory.rglob("*")):
        if path.suffix in (".wal", ".shm") or path.name.endswith(("-wal", "-shm")) or not path.is_file():
            continue
        with path.open("rb") as file:
            if file.read(15) != b"SQLite format 3":
                continue
        for (table,) in rows(path, "SELECT name FROM sqlite_schema WHERE type = 'table'"):
            found.setdefault(table, []).append(path)
    return found


def rows(path: Path, statement: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def message_ids(maildir: Path) -> Counter[str]:
    """How often each Message-ID lies in the Maildir. A mail without one counts under its file's name."""
    found: Counter[str] = Counter()
    for part in ("new", "cur"):
        for path in (maildir / part).iterdir() if (maildir / part).is_dir() else ():
            with path.open("rb") as file:
                headers = email.parser.BytesHeaderParser().parse(file)
            found[str(headers["Message-ID"] or path.name).strip()] += 1
    return found


def gather(directory: Path, maildir: Path, letters: Iterable[DeadLetter]) -> Evidence:
    evidence = Evidence(mails=message_ids(maildir))
    tables = databases(directory)

    def select(table: str, statement: str) -> list[tuple[Any, ...]]:
        if table not in tables:
            raise FileNotFoundError(f"no database under {directory} has a table {table}")
        return [row for path in tables[table] for row in rows(path, statement)]

    evidence.reservations = dict(select("reservation", "SELECT order_id, state FROM reservation"))
    evidence.stock = dict(select("stock", "SELECT sku, available FROM stock"))
    rejected = "SELECT order_id FROM inbox WHERE kind = 'order.created' AND reply_topic = 'order.rejected'"
    evidence.rejections = {order for (order,) in select("inbox", rejected)}
    taken = """
        SELECT sku, quantity FROM reservation_item JOIN reservation USING (order_id) WHERE state IN ('held', 'sold')
        """
    for sku, quantity in select("reservation_item", taken):
        evidence.taken[sku] += quantity
    refused = "SELECT order_id FROM payment WHERE failure_code IS NOT NULL"
    evidence.refusals = {order for (order,) in select("payment", refused)}
    for order, amount in select("charge", "SELECT order_id, amount FROM charge"):
        evidence.charges[order] += 1
        evidence.charged_amounts[order] = amount
    evidence.unsent = [mail for (mail,) in select("mail", "SELECT message_id FROM mail WHERE sent_at IS NULL")]
    for letter in letters:
        try:
            order = str(json.loads(letter.body)["order_id"])
        except (ValueError, KeyError, TypeError):
            order = f"message {letter.id}"
        evidence.dead.setdefault(order, []).append(f"{letter.subscription}: {letter.reason}")
    return evidence


@dataclass
class Accounts:
    counts: dict[str, int]
    # How the money of each kind of token went, for the table.
    ends: dict[str, Counter[str]]
    faults: list[str]

    @property
    def line(self) -> str:
        return json.dumps(self.counts, separators=(",", ":"))


def end_of(order: Order, evidence: Evidence) -> str:
    """paid, rejected, payment_failed, dead or lost; by the workers' words alone."""
    if order.id in evidence.dead:
        return "dead"
    if order.id in evidence.rejections:
        return "rejected"
    state = evidence.reservations.get(order.id)
    if state == "sold" and evidence.charges[order.id] > 0:
        return "paid"
    if state == "given_back" and order.id in evidence.refusals:
        return "payment_failed"
    return "lost"


def balance(all_orders: list[Order], evidence: Evidence, first_stock: dict[str, int]) -> Accounts:
    """Every order has one end, its mails are there once each, the money and the goods add up."""
    faults: list[str] = []
    ends: dict[str, Counter[str]] = {}
    totals: Counter[str] = Counter()
    expected_mails: Counter[str] = Counter()
    templates = Counter(mail_key(message_id) for message_id in evidence.mails.elements())
    for order in all_orders:
        end = end_of(order, evidence)
        totals[end] += 1
        ends.setdefault(order.event["payment_token"], Counter())[end] += 1
        faults += check_order(order, end, evidence)
        if end in FINAL_MAIL:
            expected_mails[f"order.received.{order.id}"] += 1
            expected_mails[f"{FINAL_MAIL[end]}.{order.id}"] += 1
    for key in sorted((expected_mails - templates).keys()):
        faults.append(f"mail {key} is missing")
    for key in sorted((templates - expected_mails).keys()):
        faults.append(f"mail {key} is there {templates[key]} times, expected {expected_mails[key]}")
    faults += [f"mail {message_id} is not marked as sent" for message_id in sorted(evidence.unsent)]
    for sku, units in sorted(first_stock.items()):
        left, taken = evidence.stock.get(sku, 0), evidence.taken[sku]
        if left + taken != units:
            faults.append(f"stock of {sku}: {left} left and {taken} taken are not the {units} of the beginning")
    for order_id in sorted(evidence.charges.keys() - {order.id for order in all_orders}):
        faults.append(f"{order_id} was charged and never ordered")
    doubles = sum(count - 1 for count in evidence.charges.values() if count > 1)
    counts = {
        "orders": len(all_orders), "paid": totals["paid"], "rejected": totals["rejected"],
        "payment_failed": totals["payment_failed"], "dead": totals["dead"], "emails": evidence.mails.total(),
        "double_charges": doubles, "lost": totals["lost"]}
    return Accounts(counts, ends, faults)


def mail_key(message_id: str) -> str:
    """`<template.order@domain>` without brackets and domain."""
    return message_id.strip("<>").rpartition("@")[0] or message_id


def check_order(order: Order, end: str, evidence: Evidence) -> list[str]:
    faults = []
    charges = evidence.charges[order.id]
    if end == "lost":
        state = evidence.reservations.get(order.id, "none")
        faults.append(f"{order.id} is lost: reservation {state}, charges {charges}")
    if charges > 1:
        faults.append(f"{order.id} was charged {charges} times")
    if charges > 0 and end in ("rejected", "payment_failed"):
        faults.append(f"{order.id} was charged and is {end}")
    if end == "paid" and evidence.charged_amounts[order.id] != order.event["total"]:
        faults.append(
            f"{order.id} was charged {evidence.charged_amounts[order.id]} instead of {order.event['total']}")
    if (end == "dead") != order.is_broken:
        words = "; ".join(evidence.dead.get(order.id, ["it should be a dead letter"]))
        faults.append(f"{order.id} is {end}: {words}")
    if (end == "paid" and not order.pays) or (end == "payment_failed" and order.pays):
        faults.append(f"{order.id} is {end} with {order.event['payment_token']}")
    return faults


def table(accounts: Accounts) -> str:
    """Orders by payment token and end."""
    columns = ("paid", "rejected", "payment_failed", "dead", "lost")
    lines = ["payment token".ljust(20) + "".join(column.rjust(16) for column in columns) + "orders".rjust(10)]
    for token in sorted(accounts.ends):
        ends = accounts.ends[token]
        lines.append(
            token.ljust(20) + "".join(str(ends[column]).rjust(16) for column in columns) + str(ends.total()).rjust(10))
    sums = [accounts.counts[column] for column in columns]
    lines.append("sum".ljust(20) + "".join(str(value).rjust(16) for value in sums) + str(sum(sums)).rjust(10))
    return "\n".join(lines)
