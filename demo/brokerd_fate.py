"""Dead letters, redrives that go on by themselves, and browsing: the rest of docs/PROTOCOL.md's section 10.

Importing this adds the frames to those of brokerd_frames.
"""

from __future__ import annotations

from dataclasses import dataclass

from brokerd_frames import READ, REQUEST_FIELDS, REQUESTS, WRITE, Delivery, Malformed, Reader, Writer

REASONS = {"rejected": 1, "attempts": 2, "poison": 3, "expired": 4, "age": 5, "overflow": 6}
STATES = {"ready": 1, "delayed": 2, "leased": 4, "held": 8, "dead": 16, "parked": 32}


@dataclass(frozen=True)
class Selection:
    """Which dead letters: all that is given must hold; nothing given means all."""

    ids: tuple[int, ...] = ()
    reasons: frozenset[str] = frozenset()
    error: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    ordering_key: str | None = None
    died_from: int | None = None
    died_before: int | None = None
    limit: int = 0
    is_dry_run: bool = False


@dataclass(frozen=True)
class Job:
    id: int
    subscription: str
    selection: Selection
    rate: int
    started_at: int
    moved: int


@dataclass(frozen=True)
class Query:
    """Which messages of a subscription to show: all that is given must hold."""

    states: frozenset[str] = frozenset()
    headers: tuple[tuple[str, str], ...] = ()
    ordering_key: str | None = None
    error: str | None = None
    priority: int | None = None
    published_from: int | None = None
    published_before: int | None = None
    from_id: int = 0
    limit: int = 100
    wants_bodies: bool = False


@dataclass(frozen=True)
class Browsed:
    message: Delivery
    state: str
    ready_at: int | None = None
    holder: str | None = None
    lease_left_ms: int | None = None
    death: tuple[int, str, int] | None = None


def _write_optional(writer: Writer, value: str | int | None, form: str = "q") -> None:
    writer.put("B", 0 if value is None else 1)
    if isinstance(value, str):
        writer.text(value)
    elif value is not None:
        writer.put(form, value)


def _write_selection(writer: Writer, selection: Selection) -> None:
    writer.list(selection.ids, lambda one: writer.put("Q", one))
    writer.put("H", sum(1 << REASONS[reason] for reason in selection.reasons))
    _write_optional(writer, selection.error)
    writer.list(selection.headers, writer.header)
    for value in (selection.ordering_key, selection.died_from, selection.died_before):
        _write_optional(writer, value)
    writer.put("QB", selection.limit, selection.is_dry_run)


def _write_query(writer: Writer, query: Query) -> None:
    writer.put("B", sum(STATES[state] for state in query.states))
    writer.list(query.headers, writer.header)
    _write_optional(writer, query.ordering_key)
    _write_optional(writer, query.error)
    _write_optional(writer, query.priority, "B")
    _write_optional(writer, query.published_from)
    _write_optional(writer, query.published_before)
    writer.put("QIB", query.from_id, query.limit, query.wants_bodies)


def _selection(reader: Reader) -> Selection:
    ids = tuple(reader.list(lambda: reader.one("Q")))
    bits = reader.one("H")
    reasons = frozenset(name for name, number in REASONS.items() if bits & 1 << number)
    if bits != sum(1 << REASONS[reason] for reason in reasons):
        raise Malformed(f"reasons {bits} are unknown")
    return Selection(
        ids, reasons, reader.optional(reader.text), reader.headers(), reader.optional(reader.text),
        reader.optional(lambda: reader.one("q")), reader.optional(lambda: reader.one("q")), reader.one("Q"),
        reader.flag())


def _job(reader: Reader) -> Job:
    return Job(reader.one("Q"), reader.text(), _selection(reader), *reader.get("IqQ"))


def _browsed(reader: Reader) -> Browsed:
    message, number = reader.delivery(), reader.one("B")
    names = [name for name, state in STATES.items() if state == number]
    if not names:
        raise Malformed(f"there is no state {number}")
    return Browsed(
        message, names[0], reader.optional(lambda: reader.one("q")), reader.optional(reader.text),
        reader.optional(lambda: reader.one("q")),
        reader.optional(lambda: (reader.one("B"), reader.text(), reader.one("q"))))


REQUESTS.update({"dead_jobs": 0x33, "dead_job_cancel": 0x34, "browse": 0x47, "delete": 0x48})
WRITE.update({"selection": _write_selection, "query": _write_query})
REQUEST_FIELDS.update({
    "dead_redrive": (("text", "subscription"), ("selection", "selection"), ("I", "rate")),
    "dead_purge": (("text", "subscription"), ("selection", "selection")),
    "dead_job_cancel": (("Q", "job"),),
    "browse": (("text", "subscription"), ("query", "query")),
    "delete": (("text", "subscription"), ("ids", "ids")),
})
READ.update({
    0x8E: lambda reader: (
        reader.list(lambda: _browsed(reader)), reader.optional(lambda: reader.one("Q"))),
    0x91: lambda reader: reader.list(lambda: _job(reader)),
})
