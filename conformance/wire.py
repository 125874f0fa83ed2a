"""The client's side of RESP over a socket: one connection, replies as values that keep their kind."""

import socket
import time


class Closed(Exception):
    """The server has closed the connection."""


class Reply:
    """One reply. `kind` is its first byte on the wire; `value` is bytes, a list of replies, or None.

    A map is a list of keys and values by turns.
    """

    __slots__ = ("kind", "value")

    def __init__(self, kind, value):
        self.kind = kind
        self.value = value

    @property
    def is_list(self):
        return isinstance(self.value, list)


class Connection:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def close(self):
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # The server has closed; reading says so.

    def command(self, arguments):
        self.send(encoded(arguments))

    def reply(self, seconds=5.0):
        """The next reply; TimeoutError when none comes in time, Closed at the end of the stream."""
        self.deadline = time.monotonic() + seconds
        return self._value()

    def is_silent(self, seconds):
        """Whether nothing arrives in that time."""
        if self.buffer:
            return False
        try:
            self.deadline = time.monotonic() + seconds
            self._receive()
            return False
        except TimeoutError:
            return True
        except Closed:
            return False

    def _receive(self):
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.socket.settimeout(left)
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionResetError:
            raise Closed from None
        if not data:
            raise Closed
        self.buffer += data

    def _line(self):
        while b"\r\n" not in self.buffer:
            self._receive()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def _bytes(self, count):
        while len(self.buffer) < count + 2:
            self._receive()
        data, self.buffer = self.buffer[:count], self.buffer[count + 2 :]
        return data

    def _value(self):
        line = self._line()
        kind, rest = chr(line[0]) if line else "?", line[1:]
        if kind in "+-:,#(":
            return Reply(kind, rest)
        if kind == "_":
            return Reply(kind, None)
        if kind in "$=":
            return Reply(kind, None if int(rest) < 0 else self._bytes(int(rest)))
        if kind in "*~>%":
            if int(rest) < 0:
                return Reply(kind, None)
            count = int(rest) * (2 if kind == "%" else 1)
            return Reply(kind, [self._value() for _ in range(count)])
        return Reply("?", line)


def encoded(arguments):
    parts = [b"*%d\r\n" % len(arguments)]
    for argument in arguments:
        parts.append(b"$%d\r\n%s\r\n" % (len(argument), argument))
    return b"".join(parts)
