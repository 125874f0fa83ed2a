"""Reads sequence files: what several clients do with a server, line by line. README.md shows the format."""

import dataclasses
import pathlib

ESCAPES = {"n": b"\n", "r": b"\r", "t": b"\t", "a": b"\a", "b": b"\b"}


class Malformed(Exception):
    """A line that is no statement."""


@dataclasses.dataclass
class Statement:
    line: int
    text: str
    # "command", or the name of what is no command.
    verb: str
    words: list = dataclasses.field(default_factory=list)
    # The name that the reply is kept under.
    capture: str = ""
    # Parts of the reply that differ from run to run; [] stands for the whole reply.
    masks: list = dataclasses.field(default_factory=list)
    # The kind of the reply alone counts.
    is_kind_only: bool = False
    is_sorted: bool = False
    is_async: bool = False


@dataclasses.dataclass
class Sequence:
    name: str
    statements: list
    # What the connections speak from the start.
    version: int = 2

    @property
    def label(self):
        return f"{self.name}@{self.version}"


def words_of(text):
    """Cuts a line into words as redis-cli does: "…" with escapes, '…' with \\' only."""
    words, at = [], 0
    while True:
        while at < len(text) and text[at].isspace():
            at += 1
        if at == len(text):
            return words
        word = b""
        while at < len(text) and not text[at].isspace():
            if text[at] in "\"'":
                quoted, at = _quoted(text, at + 1, text[at])
                word += quoted
            else:
                word += text[at].encode()
                at += 1
        words.append(word)


def _quoted(text, at, quote):
    word = b""
    while at < len(text):
        character = text[at]
        if character == quote:
            return word, at + 1
        if character == "\\" and at + 1 < len(text):
            following = text[at + 1]
            if quote == "'":
                word += b"'" if following == "'" else b"\\"
                at += 2 if following == "'" else 1
            elif following == "x":
                word += bytes([int(text[at + 2 : at + 4], 16)])
                at += 4
            else:
                word += ESCAPES.get(following, following.encode())
                at += 2
        else:
            word += character.encode()
            at += 1
    raise Malformed("a quote that does not close")


def read(path):
    """The sequences of one file, in order; one that does not choose its version runs in both."""
    sequences = []
    for number, line in enumerate(pathlib.Path(path).read_text().splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if text.startswith("== "):
            sequences.append(Sequence(f"{path.stem}/{text[3:].strip()}", []))
            continue
        if not sequences:
            raise Malformed(f"{path}:{number}: a statement before the first `== name`")
        try:
            sequences[-1].statements.append(_statement(number, text))
        except (Malformed, ValueError) as error:
            raise Malformed(f"{path}:{number}: {error}") from None
    names = [sequence.name for sequence in sequences]
    if len(set(names)) != len(names):
        raise Malformed(f"{path}: two sequences have one name")
    chosen = []
    for sequence in sequences:
        chosen.append(sequence)
        if all(statement.verb != "version" for statement in sequence.statements):
            chosen.append(Sequence(sequence.name, sequence.statements, 3))
    return chosen


def _statement(number, text):
    statement = Statement(number, text, "command")
    rest = text
    if rest.startswith("$") and " = " in rest:
        name, rest = rest.split(" = ", 1)
        statement.capture = name[1:]
    while True:
        first, _, tail = rest.partition(" ")
        if first == "~~":
            statement.is_kind_only = True
        elif first.startswith("~"):
            statement.masks += [path.split(".") if path else [] for path in first[1:].split(",")]
        elif first == "sorted":
            statement.is_sorted = True
        elif first == "async":
            statement.is_async = True
        else:
            break
        rest = tail.strip()
    verb = {
        "@2": "version", "@3": "version", "client": "client", "raw": "raw", "reply": "reply", "await": "reply",
        "expect-close": "close", "expect-silence": "silence", "pipeline": "pipeline", "end": "end", "drop": "drop", "pause": "pause",
    }.get(first)  # fmt: skip
    if verb == "version":
        statement.words = [first[1:].encode()]
    else:
        statement.words = words_of(tail if verb else rest)
    statement.verb = verb or "command"
    if not verb and not statement.words:
        raise Malformed("no command")
    return statement
