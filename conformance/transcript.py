"""Runs one sequence against one server, and writes down each reply as a text that can be compared."""

import re
import time

import wire

# Stream ids hold the time of day; each server has its own.
ID = re.compile(rb"(?<![0-9])1[0-9]{12}-[0-9]+")
TIME = 5.0
SILENCE = 0.05


class Run:
    """The clients of one sequence. `lines` gets one pair (statement, text) for each reply."""

    def __init__(self, port, version):
        self.port = port
        self.version = version
        self.connections = {}
        self.current = "main"
        self.values = {}
        self.control = wire.Connection(port)
        self.gathered = None
        self.lines = []

    def run(self, sequence):
        try:
            for statement in sequence.statements:
                self._step(statement)
        finally:
            for connection in [self.control, *self.connections.values()]:
                connection.close()
        return self.lines

    @property
    def connection(self):
        if self.current not in self.connections:
            self.connections[self.current] = wire.Connection(self.port)
            if self.version == 3:
                self.connections[self.current].command([b"HELLO", b"3"])
                self.connections[self.current].reply()
        return self.connections[self.current]

    def _step(self, statement):
        verb = statement.verb
        if verb == "client":
            self.current = statement.words[0].decode()
        elif verb == "version":
            self.connection.command([b"HELLO", statement.words[0]])
            self.connection.reply()
        elif verb == "drop":
            self.connections.pop(self.current).close()
            self._settle()
        elif verb == "pause":
            time.sleep(int(statement.words[0]) / 1000)
        elif verb == "pipeline":
            self.gathered = []
        elif verb == "end":
            statements, self.gathered = self.gathered, None
            self.connection.send(b"".join(wire.encoded(self._arguments(each)) for each in statements))
            for each in statements:
                self._read(each)
        elif verb == "raw":
            self.connection.send(b" ".join(statement.words))
            self._settle()
        elif verb == "reply":
            self._read(statement)
        elif verb == "silence":
            self._settle()
            self._note(statement, "silent" if self.connection.is_silent(SILENCE) else "not silent")
        elif verb == "close":
            self._read_to_the_end(statement)
        elif self.gathered is not None:
            self.gathered.append(statement)
        else:
            self.connection.command(self._arguments(statement))
            if statement.is_async:
                self._settle()
            else:
                self._read(statement)

    def _settle(self):
        """Waits until the server has read what was sent: it serves its sockets in the order of their arrivals."""
        for _ in range(2):
            self.control.command([b"PING"])
            self.control.reply()

    def _arguments(self, statement):
        def put(match):
            name = match.group(1).decode()
            return self.values.get(name, b"$" + name.encode())

        return [re.sub(rb"\$([a-z][a-z0-9_]*)", put, word) for word in statement.words]

    def _read(self, statement):
        try:
            reply = self.connection.reply(TIME)
        except TimeoutError:
            return self._note(statement, "(no reply)")
        except wire.Closed:
            return self._note(statement, "(closed)")
        if statement.capture and reply.value is not None:
            self.values[statement.capture] = first_value(reply)
        self._note(statement, self._text(statement, reply))

    def _read_to_the_end(self, statement):
        texts = []
        try:
            while True:
                texts.append(self._text(statement, self.connection.reply(TIME)))
        except TimeoutError:
            texts.append("(open)")
        except wire.Closed:
            texts.append("(closed)")
        self.connections.pop(self.current).close()
        self._note(statement, " ".join(texts))

    def _note(self, statement, text):
        self.lines.append((statement, text))

    def _text(self, statement, reply):
        if statement.is_kind_only:
            return f"{reply.kind}~"
        for path in statement.masks:
            mask(reply, path)
        return self._plain(reply, statement.is_sorted)

    def _plain(self, reply, is_sorted):
        kind, value = reply.kind, reply.value
        if value is None:
            return f"{kind}nil"
        if isinstance(value, list):
            texts = [self._plain(each, is_sorted) for each in value]
            if kind == "%":
                pairs = zip(texts[::2], texts[1::2])
                return "%{" + ", ".join(f"{key}: {each}" for key, each in pairs) + "}"
            return kind + "[" + ", ".join(sorted(texts) if is_sorted else texts) + "]"
        if value is MASKED:
            return f"{kind}~"
        text = ID.sub(self._name, value).decode("latin-1")
        if kind in "$=?":
            return kind + '"' + text.encode("unicode_escape").decode().replace('"', '\\"') + '"'
        return kind + text

    def _name(self, match):
        for name, value in self.values.items():
            if value == match.group(0):
                return b"<" + name.encode() + b">"
        return b"<id>"


MASKED = object()


def mask(reply, path):
    """Makes a part of a reply equal in all runs: [] the whole, else the way to it by index, `*` or key."""
    if not path:
        if reply.is_list:
            for each in reply.value:
                mask(each, [])
        elif reply.value is not None:
            reply.value = MASKED
        return
    if not reply.is_list:
        return
    step, values = path[0], reply.value
    if step == "*":
        chosen = values
    elif step.lstrip("-").isdigit():
        chosen = values[int(step) :][:1]
    else:
        chosen = [values[at + 1] for at in range(0, len(values) - 1, 2) if values[at].value == step.encode()]
    for each in chosen:
        mask(each, path[1:])


def first_value(reply):
    """A single value, or the first one of a nested reply."""
    while isinstance(reply.value, list):
        if not reply.value:
            return b""
        reply = reply.value[0]
    return reply.value or b""
