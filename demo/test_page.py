"""The client and docs/PROTOCOL.md agree. Run all tests of the demo with: python3 -m unittest discover demo"""

from __future__ import annotations

import re
import sys
import unittest
from pathlib import Path
from typing import Any, Iterator

sys.path.insert(0, str(Path(__file__).parent))

from brokerd_fate import Browsed, Job, Query, Selection
from brokerd_frames import (
    HEARTBEAT, BrokerError, Cutter, DeadLetter, Delivery, Malformed, Message, Receipt, Run, Schedule, frame_bytes,
    request_bytes)

PAGE = Path(__file__).parent.parent / "docs" / "PROTOCOL.md"
LEASE = 7 << 40 | 1
NEW_YEAR = 1_767_225_600_000
NIGHTLY = Schedule(
    "nightly", "report.due", "30 2 * * mon-fri", "Europe/Berlin", 1, False, 4, "reports", 3_600_000,
    (("kind", "daily"),), b"{}")
EAGER = {
    "dedup_window": "0", "attempts_max": "3", "lease": "5s", "lease_total": "1m", "backoff_base": "0",
    "backoff_cap": "1s", "poison_deaths_max": "1"}

CHOSEN = Selection(
    (), frozenset({"rejected", "attempts"}), "451", (("tenant", "big"),), "order-1001", NEW_YEAR, NEW_YEAR + 60_000, 500)


def seen(id: int, attempts: int, deliveries: int, error: str | None) -> Delivery:
    return Delivery(
        0, 0, 0, id, "order.created@email", attempts, deliveries, NEW_YEAR, 0, error, 4, None, (), b"")


def blocks(word: str) -> Iterator[tuple[str, str, bytes]]:
    """Name, direction and bytes of the page's blocks."""
    for head, body in re.findall(rf"^```{word} (.*?)\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S):
        attributes = dict(part.split("=") for part in head.split())
        lines = [line.split("#")[0] for line in body.splitlines() if not line.startswith("!")]
        yield attributes["name"], attributes["direction"], bytes.fromhex("".join(lines))


REQUESTS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "hello": ("hello", 1, {"versions": [1], "client": "shop", "instance": "shop-1", "heartbeat": 10_000}),
    "ping": ("ping", 2, {}),
    "publish": ("publish", 3, {"messages": [
        Message("order.created", '{"name":"Zoë"}'.encode(), (("content-type", "application/json"),),
                dedup_id="order-1001"),
        Message("log", b"")]}),
    "publish-every-field": ("publish", 4, {"messages": [
        Message("order.created", b"x", (("a", "1"), ("b", "")), 9, "customer-7", NEW_YEAR, NEW_YEAR + 3_600_000,
                "d-1", 60_000)]}),
    "commit": ("commit", 5, {
        "messages": [Message("payment.process", b"{}", dedup_id="pay-1001")], "runs": [Run(LEASE)]}),
    "subscribe": ("subscribe", 6, {
        "consumer": 1, "subscription": "order.created@email", "credit": 50, "start": ("beginning", 0), "lease": -1,
        "weight": 1}),
    "subscribe-from-a-time": ("subscribe", 7, {
        "consumer": 2, "subscription": "order.created@audit", "credit": 1, "start": ("time", NEW_YEAR),
        "lease": 60_000, "weight": 1}),
    "subscribe-bare-topic": ("subscribe", 8, {
        "consumer": 3, "subscription": "order.created", "credit": 1, "start": ("now", 0), "lease": -1,
        "weight": 10}),
    "credit": ("credit", 9, {"consumer": 1, "credit": 0}),
    "unsubscribe": ("unsubscribe", 10, {"consumer": 1}),
    "settle": ("settle", 11, {"runs": [
        Run(LEASE, 3), Run(LEASE + 3, 1, "fail", "smtp: 451 try later", 5_000), Run(LEASE + 4, 2, "release"),
        Run(LEASE + 9, 1, "reject", "no such customer")]}),
    "extend": ("extend", 12, {"runs": [(LEASE, 2), (LEASE + 9, 1)], "milliseconds": 30_000}),
    "pop": ("pop", 13, {
        "subscriptions": ["urgent@default", "order.created@email"], "timeout": 5_000, "acknowledges": 0}),
    "fetch": ("fetch", 50, {
        "subscriptions": ["order.created@email"], "messages": 100, "bytes": 1 << 20, "wait": 5_000, "lease": 60_000,
        "acknowledges": 0}),
    "topic-create": ("topic_create", 14, {
        "topic": "order.created",
        "settings": {"messages_max": "100000"}}),
    "topic-set": ("topic_set", 15, {
        "topic": "order.created", "settings": EAGER}),
    "topic-delete": ("topic_delete", 16, {"topic": "order.created"}),
    "topic-list": ("topic_list", 17, {}),
    "subscription-create": ("subscription_create", 18, {
        "subscription": "order.created@audit", "start": ("message", 1001), "filter": ()}),
    "subscription-create-with-a-filter": ("subscription_create", 51, {
        "subscription": "order.created@audit", "start": ("beginning", 0), "filter": (("region", "eu"),)}),
    "rewind": ("rewind", 52, {"subscription": "order.created@email", "start": ("time", NEW_YEAR)}),
    "subscription-set": ("subscription_set", 19, {
        "subscription": "order.created@email", "settings": {"attempts_max": "20"}}),
    "subscription-follows-its-topic": ("subscription_set", 20, {
        "subscription": "order.created@email", "settings": None}),
    "subscription-delete": ("subscription_delete", 21, {"subscription": "order.created@audit"}),
    "status": ("status", 22, {}),
    "peek": ("peek", 23, {"topic": "order.created", "from_id": 1001, "limit": 10}),
    "dead-list": ("dead_list", 24, {"subscription": "order.created@email", "from_id": 0, "limit": 100}),
    "dead-redrive": ("dead_redrive", 25, {
        "subscription": "order.created@email", "selection": Selection(), "rate": 0}),
    "dead-redrive-chosen": ("dead_redrive", 27, {
        "subscription": "order.created@email", "selection": CHOSEN, "rate": 50}),
    "dead-purge": ("dead_purge", 26, {
        "subscription": "order.created@email", "selection": Selection(ids=(1001, 1002), is_dry_run=True)}),
    "dead-jobs": ("dead_jobs", 28, {}),
    "dead-job-cancel": ("dead_job_cancel", 29, {"job": 12}),
    "browse": ("browse", 30, {"subscription": "order.created@email", "query": Query(
        frozenset({"delayed", "leased"}), (("tenant", "big"),), "order-1001", "451", 4, NEW_YEAR, None, 1001, 10)}),
    "delete": ("delete", 31, {"subscription": "order.created@email", "ids": [1001, 1002]}),
    "history": ("history", 27, {"query": 1001, "limit": 100}),
    "history-of-a-header": ("history", 28, {"query": ("order", "4711"), "limit": 100}),
    "cancel": ("cancel", 27, {"ids": [1001, 1002]}),
    "reschedule": ("reschedule", 28, {"ids": [1001], "deliver_at": NEW_YEAR}),
    "schedule-set": ("schedule_set", 29, {"schedule": NIGHTLY}),
    "schedule-set-every": ("schedule_set", 30, {
        "schedule": Schedule("tick", "tick", "@every 90s", paused=True, priority=9)}),
    "schedule-delete": ("schedule_delete", 31, {"schedule": "nightly"}),
    "schedule-list": ("schedule_list", 32, {}),
    "pause": ("pause", 33, {"target": "order.created", "what": 3, "until": NEW_YEAR}),
    "pause-a-subscription": ("pause", 34, {"target": "order.created@email", "what": 2, "until": None}),
    "resume": ("resume", 35, {"target": "order.created", "what": 1}),
    "schedule-pause": ("schedule_pause", 36, {"schedule": "nightly"}),
    "schedule-resume": ("schedule_resume", 37, {"schedule": "nightly"}),
    "key-list": ("key_list", 31, {
        "subscription": "order.created@email", "after": "customer-1", "limit": 100, "parked_only": 0}),
    "key-release": ("key_release", 32, {"subscription": "order.created@email", "keys": ["customer-7"]}),
    "key-release-all": ("key_release", 33, {"subscription": "order.created@email", "keys": []}),
}
ANSWERS: dict[str, Any] = {
    "deliveries": [Delivery(
        1, LEASE, 30_000, 1001, "order.created@email", 2, 3, NEW_YEAR, 0, "smtp: 451 try later", 4, "order-1001",
        (("content-type", "application/json"),), b'{"order":1001}')],
    "consumer-ended": (1, BrokerError(102, "the subscription was deleted")),
    "consumer-ended-drained": (1, None),
    "heartbeat-of-the-broker": None,
    "refused": BrokerError(110, "the topic order.created exists"),
    "refused-with-an-unknown-code": BrokerError(777, "new"),
    "hello-answer": {
        "version": 1, "broker": "brokerd 0.1.0", "identity": 0x0123456789ABCDEF, "heartbeat": 10_000,
        "frame_max": 8 << 20, "body_max": 1 << 20, "headers_max": 16 << 10, "leases_max": 10_000},
    "done": None,
    "published": [Receipt(1001), Receipt(1000, True), BrokerError(209, "log holds 100 unsettled messages"),
                  Receipt(1002, False, True)],
    "committed": [Receipt(1002), Receipt(1002, True)],
    "settled": [None, None, None, BrokerError(105, "lease ended before"), None, None, None],
    "popped": Delivery(0, LEASE + 10, 30_000, 1003, "urgent@default", 1, 1, NEW_YEAR, 0, None, 4, None, (), b"x"),
    "popped-nothing": None,
    "fetched": [Delivery(
        0, LEASE + 11, 60_000, 1004, "order.created@email", 1, 1, NEW_YEAR, 0, None, 4, None, (), b"y")],
    "fetched-nothing": [],
    "topics": [{
        "name": "order.created", "settings": {},
        "messages": 12, "published": 5000, "figures": {"dropped": 3}, "subscriptions": [{
            "name": "order.created@email", "settings": None, "consumers": 2, "ready": 7, "delayed": 2, "leased": 3,
            "dead": 1, "delivered": 5100, "acknowledged": 4987, "figures": {}, "filter": ()}]}],
    "status-answer": {
        "version": "0.1.0", "epoch": 7, "uptime": 60_000, "connections": 4, "topics": 1, "messages": 12, "ready": 7,
        "delayed": 2, "leased": 3, "dead": 1, "published": 5000, "delivered": 5100, "acknowledged": 4987,
        "log_segments": 3, "log_free_bytes": 1 << 30, "figures": {}},
    "messages": [Delivery(0, 0, 0, 1001, "order.created@default", 0, 0, NEW_YEAR, 0, None, 4, None, (), b"{}")],
    "dead-letters": [DeadLetter(
        1001, "order.created@email", 1, "rejected: no such customer", None, "email-1", 1, 2, 0, (NEW_YEAR + 1000,),
        NEW_YEAR, NEW_YEAR + 1000, 4, "order-1001", (("k", "v"),), b"{}")],
    "count": 3,
    "dead-jobs-answer": [Job(12, "order.created@email", CHOSEN, 50, NEW_YEAR, 7)],
    "browsed": ([
        Browsed(seen(1001, 1, 1, None), "leased", None, "email-1", 29_500),
        Browsed(seen(1002, 2, 3, "smtp: 451"), "delayed", NEW_YEAR + 60_000),
        Browsed(seen(1003, 10, 10, "smtp: 451"), "dead", death=(2, "attempts", NEW_YEAR + 60_000))], 1004),
    "schedules": [{
        "schedule": NIGHTLY, "next": NEW_YEAR + 5_400_000, "last": None, "fired": 0, "refused": 1,
        "last_refusal": "TOPIC_FULL (209): full"}],
    "keys": [{"key": "customer-7", "state": 2, "owner": 1001, "held": 3},
             {"key": "customer-8", "state": 0, "owner": 1004, "held": 0}],
    "history-answer": ([
        {"id": 1001, "event": 1, "at": NEW_YEAR, "topic": "order.created", "subscription": None,
         "detail": "12 bytes"},
        {"id": 1001, "event": 2, "at": NEW_YEAR + 1000, "topic": "order.created", "subscription": "email",
         "detail": "to email-1"},
        {"id": 1001, "event": 3, "at": None, "topic": "order.created", "subscription": "email", "detail": ""}], False),
}


class Page(unittest.TestCase):
    """The client was written from docs/PROTOCOL.md; here the page's vectors judge it."""

    def test_requests_are_written_as_the_page_shows(self) -> None:
        vectors = {name: data for name, direction, data in blocks("vector") if direction == "client"}
        self.assertEqual(vectors.pop("heartbeat"), frame_bytes(HEARTBEAT, 0))
        self.assertEqual(vectors.keys(), REQUESTS.keys())
        for name, (request, correlation, fields) in REQUESTS.items():
            self.assertEqual(request_bytes(request, correlation, **fields).hex(" "), vectors[name].hex(" "), name)

    def test_what_the_broker_sends_is_read_as_the_page_says(self) -> None:
        vectors = {name: data for name, direction, data in blocks("vector") if direction == "broker"}
        self.assertEqual(vectors.keys(), ANSWERS.keys())
        for name, data in vectors.items():
            cutter = Cutter()
            pieces = [frame for byte in data for frame in cutter.feed(bytes([byte]))]
            self.assertEqual([frame.value for frame in pieces], [ANSWERS[name]], name)

    def test_malformed_frames_of_a_broker_are_refused(self) -> None:
        names = []
        for name, direction, data in blocks("malformed"):
            if direction == "broker" and name != "commit-half-refused":
                names.append(name)
                with self.assertRaises(Malformed, msg=name):
                    list(Cutter().feed(data))
        self.assertGreater(len(names), 5)


if __name__ == "__main__":
    unittest.main()
