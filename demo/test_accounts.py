"""The books balance, and say when they do not. Run all tests of the demo with: python3 -m unittest discover demo"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
import unittest
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import accounts
import shop
from brokerd_frames import DeadLetter


class Books(unittest.TestCase):
    """Books that balance, and each way in which they must not."""

    def setUp(self) -> None:
        self.orders = list(shop.orders(300, 3))
        self.first_stock = shop.stock(300)
        self.evidence = accounts.Evidence(stock=dict(self.first_stock))
        for order in self.orders:
            self.live(order)

    def live(self, order: shop.Order) -> None:
        evidence = self.evidence
        if order.is_broken:
            evidence.dead[order.id] = ["order.created@inventory: invalid", "order.created@email: invalid"]
            return
        wanted = Counter[str]()
        for item in order.event["items"]:
            wanted[item["sku"]] += item["quantity"]
        if any(evidence.stock[sku] < units for sku, units in wanted.items()):
            evidence.rejections.add(order.id)
            final = "order.rejected"
        elif order.pays:
            evidence.reservations[order.id] = "sold"
            evidence.charges[order.id] = 1
            evidence.charged_amounts[order.id] = order.event["total"]
            for sku, units in wanted.items():
                evidence.stock[sku] -= units
                evidence.taken[sku] += units
            final = "order.paid"
        else:
            evidence.reservations[order.id] = "given_back"
            evidence.refusals.add(order.id)
            final = "payment.failed"
        for template in ("order.received", final):
            evidence.mails[f"<{template}.{order.id}@shop.example>"] = 1

    def faults(self) -> list[str]:
        return accounts.balance(self.orders, self.evidence, self.first_stock).faults

    def some(self, end: str) -> shop.Order:
        return next(order for order in self.orders if accounts.end_of(order, self.evidence) == end)

    def test_good_books_balance(self) -> None:
        books = accounts.balance(self.orders, self.evidence, self.first_stock)
        self.assertEqual(books.faults, [])
        counts = books.counts
        self.assertEqual(counts["dead"], 1)
        self.assertEqual(counts["emails"], 2 * 299)
        self.assertEqual(counts["paid"] + counts["rejected"] + counts["payment_failed"] + counts["dead"], 300)
        self.assertTrue(min(counts["paid"], counts["rejected"], counts["payment_failed"]) > 0)
        self.assertTrue(books.line.startswith('{"orders":300,"paid":'))
        self.assertTrue(books.line.endswith('"double_charges":0,"lost":0}'))
        self.assertIn("tok_declined", accounts.table(books))

    def test_a_double_charge_is_a_fault(self) -> None:
        self.evidence.charges[self.some("paid").id] = 2
        books = accounts.balance(self.orders, self.evidence, self.first_stock)
        self.assertEqual(books.counts["double_charges"], 1)
        self.assertEqual(len(books.faults), 1)

    def test_a_lost_order_is_a_fault(self) -> None:
        order = self.some("paid")
        for state in (None, "held", "expired", "given_back"):
            self.evidence.reservations[order.id] = state
            books = accounts.balance(self.orders, self.evidence, self.first_stock)
            self.assertEqual(books.counts["lost"], 1)
            self.assertTrue(books.faults)

    def test_mails_that_are_missing_double_or_too_many_are_faults(self) -> None:
        order = self.some("payment_failed")
        mail = f"<payment.failed.{order.id}@shop.example>"
        for count in (0, 2):
            self.evidence.mails[mail] = count
            self.assertEqual(len(self.faults()), 1, count)
        self.evidence.mails[mail] = 1
        self.evidence.mails["<order.paid.nobody@shop.example>"] = 1
        self.assertEqual(len(self.faults()), 1)

    def test_charging_what_is_not_paid_is_a_fault(self) -> None:
        for end in ("rejected", "payment_failed"):
            order = self.some(end)
            self.evidence.charges[order.id] = 1
            self.assertTrue(any(order.id in fault for fault in self.faults()), end)
            del self.evidence.charges[order.id]
        self.evidence.charged_amounts[self.some("paid").id] += 1
        self.assertEqual(len(self.faults()), 1)

    def test_goods_that_vanish_are_a_fault(self) -> None:
        self.evidence.stock["mug-blue"] -= 1
        self.assertEqual(len(self.faults()), 1)

    def test_only_broken_orders_are_dead(self) -> None:
        order = self.some("paid")
        self.evidence.dead[order.id] = ["payment.process@payment: poison"]
        self.assertTrue(any("poison" in fault for fault in self.faults()))

    def test_an_unmarked_mail_is_a_fault(self) -> None:
        self.evidence.unsent = ["<a@b>"]
        self.assertEqual(self.faults(), ["mail <a@b> is not marked as sent"])

    def test_the_end_agrees_with_the_token(self) -> None:
        order = self.some("paid")
        declined = replace(order, event=order.event | {"payment_token": "tok_declined"})
        self.orders[self.orders.index(order)] = declined
        self.assertEqual(self.faults(), [f"{order.id} is paid with tok_declined"])


class Gathering(unittest.TestCase):
    def test_databases_and_mails_are_found_by_what_they_hold(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            self.make_databases(directory)
            maildir = directory / "Maildir"
            for part in ("new", "cur", "tmp"):
                (maildir / part).mkdir(parents=True)
            (maildir / "new" / "1.M1").write_text("Subject: x\nMessage-ID: <order.paid.A@d>\n\nMessage-ID: no\n")
            (maildir / "cur" / "2.M1:2,S").write_text("Message-ID: <order.paid.A@d>\n\n")
            (maildir / "tmp" / "3.M1").write_text("Message-ID: <order.paid.B@d>\n\n")
            letter = DeadLetter(
                7, "t@s", 3, "poison", None, None, 1, 1, 0, (), 0, 0, 4, None, (), b'{"order_id":"D"}')
            evidence = accounts.gather(directory, maildir, [letter, replace(letter, body=b"no json")])
        self.assertEqual(evidence.mails, Counter({"<order.paid.A@d>": 2}))
        self.assertEqual(evidence.reservations, {"A": "sold", "B": "given_back"})
        self.assertEqual(evidence.rejections, {"C"})
        self.assertEqual(evidence.taken, Counter({"mug": 2}))
        self.assertEqual(evidence.refusals, {"B"})
        self.assertEqual(evidence.charges, Counter({"A": 1}))
        self.assertEqual(evidence.unsent, ["<late@d>"])
        self.assertEqual(evidence.dead, {"D": ["t@s: poison"], "message 7": ["t@s: poison"]})

    def make_databases(self, directory: Path) -> None:
        scripts = {
            "inventory.sqlite": """
                CREATE TABLE stock (sku, available); INSERT INTO stock VALUES ('mug', 8);
                CREATE TABLE reservation (order_id, state); CREATE TABLE reservation_item (order_id, sku, quantity);
                INSERT INTO reservation VALUES ('A', 'sold'), ('B', 'given_back');
                INSERT INTO reservation_item VALUES ('A', 'mug', 2), ('B', 'mug', 5);
                CREATE TABLE inbox (order_id, kind, reply_topic);
                INSERT INTO inbox VALUES ('A', 'order.created', 'payment.process'), ('A', 'payment.completed', NULL),
                    ('C', 'order.created', 'order.rejected')""",
            "deep/payment.sqlite": """
                CREATE TABLE payment (order_id, failure_code);
                INSERT INTO payment VALUES ('A', NULL), ('B', 'card_declined')""",
            "ledger": "CREATE TABLE charge (order_id, amount); INSERT INTO charge VALUES ('A', 100)",
            "mail": """
                CREATE TABLE mail (message_id, sent_at);
                INSERT INTO mail VALUES ('<order.paid.A@d>', 1), ('<late@d>', NULL)""",
        }
        for name, script in scripts.items():
            path = directory / name
            path.parent.mkdir(exist_ok=True)
            with closing(sqlite3.connect(path)) as connection:
                connection.executescript(script)

    def test_a_missing_database_is_said(self) -> None:
        with tempfile.TemporaryDirectory() as name, self.assertRaises(FileNotFoundError):
            accounts.gather(Path(name), Path(name), [])


if __name__ == "__main__":
    unittest.main()
