"""The frames of brokerd's native protocol, version 1, as docs/PROTOCOL.md draws them.

Values are plain: text is str, bodies are bytes, times are milliseconds, items are dicts and dataclasses.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, Iterator

VERSION = 1
HEADER_BYTES = 12
HEARTBEAT = 0x7F

REQUESTS = {
    "hello": 0x01, "ping": 0x02, "publish": 0x10, "commit": 0x11, "subscribe": 0x12, "credit": 0x13,
    "unsubscribe": 0x14, "settle": 0x15, "extend": 0x16, "pop": 0x17, "fetch": 0x18, "topic_create": 0x20,
    "topic_set": 0x21,
    "topic_delete": 0x22, "topic_list": 0x23, "subscription_create": 0x24, "subscription_set": 0x25,
    "subscription_delete": 0x26, "status": 0x27, "peek": 0x28, "dead_list": 0x30, "dead_redrive": 0x31,
    "dead_purge": 0x32, "cancel": 0x40, "reschedule": 0x41, "schedule_set": 0x42, "schedule_delete": 0x43,
    "schedule_list": 0x44, "pause": 0x45, "resume": 0x46, "key_list": 0x49, "key_release": 0x4A, "history": 0x4B,
    "schedule_pause": 0x50, "schedule_resume": 0x51, "rewind": 0x4C,
}
STARTS = {"beginning": 0, "now": 1, "time": 2, "message": 3}


class Malformed(Exception):
    """The peer's bytes break the protocol."""


@dataclass(frozen=True)
class BrokerError(Exception):
    """A refusal: the stable code, and a sentence for a person."""

    code: int
    sentence: str

    def __str__(self) -> str:
        return f"broker error {self.code}: {self.sentence}"


@dataclass(frozen=True)
class Message:
    """A message on its way in."""

    topic: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    priority: int = 4
    ordering_key: str | None = None
    deliver_at: int | None = None
    expires_at: int | None = None
    dedup_id: str | None = None
    delay_ms: int | None = None


@dataclass(frozen=True)
class Receipt:
    id: int
    is_duplicate: bool = False
    is_unwanted: bool = False


@dataclass(frozen=True)
class Delivery:
    consumer: int
    lease: int
    lease_ms: int
    id: int
    subscription: str
    attempt: int
    deliveries: int
    published_at: int
    redrives: int
    last_error: str | None
    priority: int
    ordering_key: str | None
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True)
class DeadLetter:
    id: int
    subscription: str
    code: int
    reason: str
    last_error: str | None
    last_consumer: str | None
    attempts: int
    deliveries: int
    redrives: int
    attempt_times: tuple[int, ...]
    published_at: int
    dead_at: int
    priority: int
    ordering_key: str | None
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True)
class Schedule:
    """A message that is published at each tick of a cron line."""

    name: str
    topic: str
    cron: str
    zone: str = "UTC"
    missed: int = 0
    paused: bool = False
    priority: int = 4
    ordering_key: str | None = None
    expiry_ms: int = -1
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass(frozen=True)
class Run:
    """Leases that follow each other and share a verdict: ack, fail, release or reject."""

    first: int
    count: int = 1
    verdict: str = "ack"
    text: str = ""
    after_ms: int = -1


@dataclass(frozen=True)
class Frame:
    kind: int
    correlation: int
    value: Any = None


# Writing


class Writer:
    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def put(self, form: str, *values: int) -> None:
        self.parts.append(struct.pack(">" + form, *values))

    def text(self, text: str) -> None:
        data = text.encode("utf-8")
        if len(data) > 65_535:
            raise ValueError(f"a text has at most 65,535 bytes, not {len(data)}")
        self.put("H", len(data))
        self.parts.append(data)

    def bytes(self, data: bytes) -> None:
        self.put("I", len(data))
        self.parts.append(data)

    def list(self, items: Iterable[Any], one: Callable[[Any], None]) -> None:
        items = list(items)
        self.put("I", len(items))
        for item in items:
            one(item)

    def header(self, pair: tuple[str, str]) -> None:
        self.text(pair[0])
        self.text(pair[1])

    def message(self, message: Message) -> None:
        self.text(message.topic)
        optional = (message.ordering_key, message.deliver_at, message.expires_at, message.dedup_id, message.delay_ms)
        flags = sum(1 << bit for bit, value in enumerate(optional) if value is not None)
        self.put("BB", message.priority, flags)
        for value in optional:
            if isinstance(value, str):
                self.text(value)
            elif value is not None:
                self.put("q", value)
        self.list(message.headers, self.header)
        self.bytes(message.body)

    def run(self, run: Run) -> None:
        verdict = ("ack", "fail", "release", "reject").index(run.verdict)
        self.put("QIB", run.first, run.count, verdict)
        if run.verdict in ("fail", "release"):
            self.put("q", run.after_ms)
        if run.verdict in ("fail", "reject"):
            self.text(run.text)

    def start(self, start: tuple[str, int]) -> None:
        self.put("Bq" if start[0] == "time" else "BQ", STARTS[start[0]], start[1])

    def schedule(self, schedule: Schedule) -> None:
        for text in (schedule.name, schedule.topic, schedule.cron, schedule.zone):
            self.text(text)
        self.put("BBB", schedule.missed, schedule.paused, schedule.priority)
        self.optional(schedule.ordering_key, self.text)
        self.put("q", schedule.expiry_ms)
        self.list(schedule.headers, self.header)
        self.bytes(schedule.body)

    def optional(self, value: Any, one: Callable[[Any], None]) -> None:
        self.put("B", 0 if value is None else 1)
        if value is not None:
            one(value)

    def settings(self, settings: dict[str, str]) -> None:
        self.list(settings.items(), self.header)


def frame_bytes(kind: int, correlation: int, fields: bytes = b"") -> bytes:
    return struct.pack(">IBBHI", len(fields) + 8, VERSION, kind, 0, correlation) + fields


def request_bytes(name: str, correlation: int, **given: Any) -> bytes:
    """The frame of a request; the arguments have the names of docs/PROTOCOL.md."""
    writer = Writer()
    for form, key in REQUEST_FIELDS.get(name, ()):
        value = given.pop(key)
        if form in ("I", "q", "Q", "B"):
            writer.put(form, value)
        else:
            WRITE[form](writer, value)
    if given:
        raise TypeError(f"{name} has no {', '.join(given)}")
    return frame_bytes(REQUESTS[name], correlation, b"".join(writer.parts))


def _write_versions(writer: Writer, versions: list[int]) -> None:
    writer.put("B", len(versions))
    for version in versions:
        writer.put("B", version)


def _write_history_query(writer: Writer, query: int | tuple[str, str]) -> None:
    if isinstance(query, int):
        writer.put("BQ", 0, query)
    else:
        writer.put("B", 1)
        writer.header(query)


def _write_optional_settings(writer: Writer, settings: dict[str, str] | None) -> None:
    writer.put("B", 0 if settings is None else 1)
    if settings is not None:
        writer.settings(settings)


WRITE: dict[str, Callable[[Writer, Any], None]] = {
    "text": Writer.text,
    "messages": lambda writer, value: writer.list(value, writer.message),
    "runs": lambda writer, value: writer.list(value, writer.run),
    "lease runs": lambda writer, value: writer.list(value, lambda run: writer.put("QI", *run)),
    "headers": lambda writer, value: writer.list(value, writer.header),
    "texts": lambda writer, value: writer.list(value, writer.text),
    "ids": lambda writer, value: writer.list(value, lambda one: writer.put("Q", one)),
    "start": Writer.start,
    "topic settings": Writer.settings,
    "versions": _write_versions,
    "history query": _write_history_query,
    "optional settings": _write_optional_settings,
    "schedule": Writer.schedule,
    "optional time": lambda writer, value: writer.optional(value, lambda time: writer.put("q", time)),
}
REQUEST_FIELDS: dict[str, tuple[tuple[str, str], ...]] = {
    "hello": (("versions", "versions"), ("text", "client"), ("text", "instance"), ("I", "heartbeat")),
    "publish": (("messages", "messages"),),
    "commit": (("messages", "messages"), ("runs", "runs")),
    "subscribe": (
        ("I", "consumer"), ("text", "subscription"), ("I", "credit"), ("start", "start"), ("q", "lease"), ("B", "weight")),
    "credit": (("I", "consumer"), ("I", "credit")),
    "unsubscribe": (("I", "consumer"),),
    "settle": (("runs", "runs"),),
    "extend": (("lease runs", "runs"), ("q", "milliseconds")),
    "pop": (("texts", "subscriptions"), ("q", "timeout"), ("B", "acknowledges")),
    "fetch": (
        ("texts", "subscriptions"), ("I", "messages"), ("I", "bytes"), ("q", "wait"), ("q", "lease"),
        ("B", "acknowledges")),
    "topic_create": (("text", "topic"), ("topic settings", "settings")),
    "topic_set": (("text", "topic"), ("topic settings", "settings")),
    "topic_delete": (("text", "topic"),),
    "subscription_create": (("text", "subscription"), ("start", "start"), ("headers", "filter")),
    "rewind": (("text", "subscription"), ("start", "start")),
    "subscription_set": (("text", "subscription"), ("optional settings", "settings")),
    "subscription_delete": (("text", "subscription"),),
    "peek": (("text", "topic"), ("Q", "from_id"), ("I", "limit")),
    "dead_list": (("text", "subscription"), ("Q", "from_id"), ("I", "limit")),
    "cancel": (("ids", "ids"),),
    "reschedule": (("ids", "ids"), ("q", "deliver_at")),
    "schedule_set": (("schedule", "schedule"),),
    "schedule_delete": (("text", "schedule"),),
    "schedule_pause": (("text", "schedule"),),
    "schedule_resume": (("text", "schedule"),),
    "pause": (("text", "target"), ("B", "what"), ("optional time", "until")),
    "resume": (("text", "target"), ("B", "what")),
    "key_list": (("text", "subscription"), ("text", "after"), ("I", "limit"), ("B", "parked_only")),
    "key_release": (("text", "subscription"), ("texts", "keys")),
    "history": (("history query", "query"), ("I", "limit")),
}


# Reading


class Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def take(self, count: int) -> bytes:
        end = self.position + count
        if end > len(self.data):
            raise Malformed(f"byte {self.position}: {count} bytes are needed, {len(self.data) - self.position} left")
        part = self.data[self.position : end]
        self.position = end
        return part

    def get(self, form: str) -> tuple[Any, ...]:
        form = ">" + form
        return struct.unpack(form, self.take(struct.calcsize(form)))

    def one(self, form: str) -> int:
        return self.get(form)[0]

    def flag(self) -> bool:
        value = self.one("B")
        if value > 1:
            raise Malformed(f"byte {self.position - 1}: a flag is 0 or 1, not {value}")
        return value == 1

    def text(self) -> str:
        try:
            return self.take(self.one("H")).decode("utf-8")
        except UnicodeDecodeError as error:
            raise Malformed(f"byte {self.position}: a text is not UTF-8") from error

    def list(self, one: Callable[[], Any]) -> list[Any]:
        count = self.one("I")
        if count > len(self.data) - self.position:
            raise Malformed(f"byte {self.position - 4}: {count} items cannot fit")
        return [one() for _ in range(count)]

    def optional(self, one: Callable[[], Any]) -> Any:
        return one() if self.flag() else None

    def headers(self) -> tuple[tuple[str, str], ...]:
        return tuple(self.list(lambda: (self.text(), self.text())))

    def error(self) -> BrokerError:
        return BrokerError(self.one("H"), self.text())

    def result(self) -> Receipt | BrokerError:
        kind = self.one("B")
        if kind == 2:
            return self.error()
        if kind > 3:
            raise Malformed(f"byte {self.position - 1}: a result is 0 to 3, not {kind}")
        return Receipt(self.one("Q"), kind == 1, kind == 3)

    def delivery(self) -> Delivery:
        return Delivery(
            *self.get("IQqQ"), self.text(), *self.get("IIqI"), self.optional(self.text), self.one("B"),
            self.optional(self.text), self.headers(), self.take(self.one("I")))

    def dead_letter(self) -> DeadLetter:
        return DeadLetter(
            self.one("Q"), self.text(), self.one("B"), self.text(), self.optional(self.text), self.optional(self.text),
            *self.get("III"), tuple(self.list(lambda: self.one("q"))), *self.get("qqB"), self.optional(self.text),
            self.headers(), self.take(self.one("I")))

    def settings(self) -> dict[str, str]:
        return dict(self.headers())

    def topic(self) -> dict[str, Any]:
        topic: dict[str, Any] = {"name": self.text(), "settings": self.settings()}
        topic["messages"], topic["published"] = self.get("QQ")
        topic["figures"] = self.figures()
        topic["subscriptions"] = self.list(self.subscription_status)
        return topic

    def subscription_status(self) -> dict[str, Any]:
        status = {"name": self.text(), "settings": self.optional(self.settings)}
        names = ("consumers", "ready", "delayed", "leased", "dead", "delivered", "acknowledged")
        status |= dict(zip(names, self.get("IQQQQQQ"))) | {"figures": self.figures()}
        return status | {"filter": self.headers()}

    def figures(self) -> dict[str, int]:
        return dict(self.list(lambda: (self.text(), self.one("q"))))

    def status(self) -> dict[str, Any]:
        names = (
            "epoch", "uptime", "connections", "topics", "messages", "ready", "delayed", "leased", "dead", "published",
            "delivered", "acknowledged", "log_segments", "log_free_bytes")
        return {"version": self.text()} | dict(zip(names, self.get("IqII10Q"))) | {"figures": self.figures()}

    def schedule(self) -> Schedule:
        return Schedule(
            self.text(), self.text(), self.text(), self.text(), self.one("B"), self.flag(), self.one("B"),
            self.optional(self.text), self.one("q"), self.headers(), self.take(self.one("I")))

    def schedule_status(self) -> dict[str, Any]:
        status: dict[str, Any] = {"schedule": self.schedule()}
        status["next"], status["last"] = self.optional(lambda: self.one("q")), self.optional(lambda: self.one("q"))
        status["fired"], status["refused"] = self.get("QQ")
        return status | {"last_refusal": self.optional(self.text)}

    def hello(self) -> dict[str, Any]:
        names = ("identity", "heartbeat", "frame_max", "body_max", "headers_max", "leases_max")
        return {"version": self.one("B"), "broker": self.text()} | dict(zip(names, self.get("QIIIII")))

    def key_status(self) -> dict[str, Any]:
        key, state = self.text(), self.one("B")
        if state > 3:
            raise Malformed(f"byte {self.position - 1}: a key's state is 0 to 3, not {state}")
        return {"key": key, "state": state, "owner": self.one("Q"), "held": self.one("Q")}

    def history_event(self) -> dict[str, Any]:
        return {
            "id": self.one("Q"), "event": self.one("B"), "at": self.optional(lambda: self.one("q")),
            "topic": self.text(), "subscription": self.optional(self.text), "detail": self.text()}

    def settled(self) -> list[BrokerError | None]:
        count = self.one("I")
        if count > 10_000:
            raise Malformed(f"byte {self.position - 4}: {count} items are too many")
        results: list[BrokerError | None] = [None] * count
        for index, error in self.list(lambda: (self.one("I"), self.error())):
            if index >= count:
                raise Malformed(f"index {index} of {count} items")
            results[index] = error
        return results


READ: dict[int, Callable[[Reader], Any]] = {
    0x60: lambda reader: reader.list(reader.delivery),
    0x61: lambda reader: (reader.one("I"), reader.optional(reader.error)),
    HEARTBEAT: lambda reader: None,
    0x80: Reader.error,
    0x81: Reader.hello,
    0x82: lambda reader: None,
    0x83: lambda reader: reader.list(reader.result),
    0x84: lambda reader: reader.list(reader.result),
    0x85: Reader.settled,
    0x86: lambda reader: reader.optional(reader.delivery),
    0x87: lambda reader: reader.list(reader.topic),
    0x88: Reader.status,
    0x89: lambda reader: reader.list(reader.delivery),
    0x8A: lambda reader: reader.list(reader.dead_letter),
    0x8B: lambda reader: reader.one("Q"),
    0x8C: lambda reader: reader.list(reader.delivery),
    0x8D: lambda reader: reader.list(reader.schedule_status),
    0x8F: lambda reader: reader.list(reader.key_status),
    0x90: lambda reader: (reader.list(reader.history_event), reader.flag()),
}


@dataclass
class Cutter:
    """Cuts a stream of bytes into frames; `read` decides the fields by the kind."""

    frame_max: int = 8_388_608
    read: dict[int, Callable[[Reader], Any]] = field(default_factory=lambda: READ)
    buffer: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> Iterator[Frame]:
        self.buffer += data
        while len(self.buffer) >= 4:
            length = int.from_bytes(self.buffer[:4], "big")
            if not 8 <= length <= self.frame_max:
                raise Malformed(f"a frame's length is 8 to {self.frame_max}, not {length}")
            if len(self.buffer) < 4 + length:
                return
            reader = Reader(bytes(self.buffer[: 4 + length]))
            del self.buffer[: 4 + length]
            _, version, kind, zero, correlation = reader.get("IBBHI")
            if version != VERSION or zero != 0 or kind not in self.read:
                raise Malformed(f"version {version}, kind {kind}, zero {zero} is nothing that a client reads")
            value = self.read[kind](reader)
            if reader.position < len(reader.data):
                raise Malformed(f"kind {kind}: {len(reader.data) - reader.position} bytes too many")
            yield Frame(kind, correlation, value)
