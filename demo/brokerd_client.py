"""A small client of brokerd's native protocol, written from docs/PROTOCOL.md alone.

    connection = Connection.open("tcp://127.0.0.1:7470", client="shop", instance="shop-1")
    receipts = connection.call("publish", messages=[Message("order.created", b"{}", dedup_id="order-1")])

One thread reads, one sends heartbeats; requests may come from any thread and are pipelined.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from concurrent.futures import Future
from typing import Any, Callable

import brokerd_fate  # noqa: F401 (its frames are added to the others)
from brokerd_frames import HEARTBEAT, BrokerError, Cutter, Frame, Malformed, frame_bytes, request_bytes

DELIVERIES, CONSUMER_ENDED, REFUSED = 0x60, 0x61, 0x80
SHUTTING_DOWN = 8


class ConnectionLost(Exception):
    """Nobody knows whether the requests without a response were done."""


def connect_socket(url: str, timeout: float = 5) -> socket.socket:
    scheme, _, rest = url.partition("://")
    if scheme == "unix":
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connected.settimeout(timeout)
        try:
            connected.connect(rest)
        except OSError:
            connected.close()
            raise
    elif scheme == "tcp":
        host, _, port = rest.rpartition(":")
        connected = socket.create_connection((host.strip("[]"), int(port)), timeout)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    else:
        raise ValueError(f"{url}: expected tcp://HOST:PORT or unix:///path")
    return connected


class Connection:
    """One connection, from HELLO to its end; it never reconnects by itself."""

    def __init__(self, connected: socket.socket, on_push: Callable[[Frame], None] | None) -> None:
        self.socket = connected
        self.on_push = on_push
        self.lock = threading.Lock()
        # Apart from `lock`, so that the reader never waits for a broker that takes nothing.
        self.send_lock = threading.Lock()
        self.waiting: dict[int, Future[Any]] = {}
        self.next_correlation = 1
        self.last_sent = self.last_received = time.monotonic()
        self.lost: Exception | None = None
        self.closed = threading.Event()
        self.cutter = Cutter()

    @classmethod
    def open(
        cls, url: str, client: str, instance: str, heartbeat_ms: int = 5_000,
        on_push: Callable[[Frame], None] | None = None, timeout: float = 5,
    ) -> Connection:
        """Connects and says HELLO. `on_push` is called by the reading thread and must not block.

        Raises OSError when nobody answers, BrokerError when the broker refuses, ConnectionLost when it goes away.
        """
        connection = cls(connect_socket(url, timeout), on_push)
        connection.socket.settimeout(None)
        threading.Thread(target=connection._read, daemon=True).start()
        try:
            connection.hello = connection.call(
                "hello", wait_seconds=timeout, versions=[1], client=client, instance=instance, heartbeat=heartbeat_ms)
        except BaseException:
            connection.close()
            raise
        connection.cutter.frame_max = connection.hello["frame_max"]
        threading.Thread(target=connection._heartbeat, daemon=True).start()
        return connection

    def send(self, name: str, **fields: Any) -> Future[Any]:
        """Sends a request; the future has the response's value, or BrokerError, or ConnectionLost."""
        future: Future[Any] = Future()
        with self.send_lock:
            correlation = self.next_correlation
            data = request_bytes(name, correlation, **fields)
            with self.lock:
                if self.lost is not None:
                    raise ConnectionLost(str(self.lost))
                self.next_correlation = correlation % 0xFFFF_FFFF + 1
                self.waiting[correlation] = future
            try:
                self.socket.sendall(data)
                self.last_sent = time.monotonic()
            except OSError as error:
                self._end(error)
        return future

    def call(self, name: str, wait_seconds: float | None = 30, **fields: Any) -> Any:
        """Sends a request and waits for its response; raises what `send` puts into the future."""
        try:
            return self.send(name, **fields).result(wait_seconds)
        except TimeoutError as error:
            self._end(error)
            raise ConnectionLost(f"no response to {name} within {wait_seconds} s") from error

    def close(self) -> None:
        self._end(ConnectionLost("closed here"))

    def _end(self, reason: Exception) -> None:
        with self.lock:
            if self.lost is not None:
                return
            self.lost = reason
            waiting, self.waiting = list(self.waiting.values()), {}
        self.closed.set()
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()
        for future in waiting:
            lost = reason if isinstance(reason, BrokerError) else ConnectionLost(str(reason) or repr(reason))
            future.set_exception(lost)

    def _read(self) -> None:
        try:
            while data := self.socket.recv(1 << 18):
                self.last_received = time.monotonic()
                for frame in self.cutter.feed(data):
                    self._take(frame)
            raise ConnectionLost("the broker closed the connection")
        except (OSError, Malformed, BrokerError, ConnectionLost) as error:
            self._end(error)

    def _take(self, frame: Frame) -> None:
        if frame.kind == HEARTBEAT:
            return
        if frame.kind in (DELIVERIES, CONSUMER_ENDED):
            if self.on_push is not None:
                self.on_push(frame)
            return
        with self.lock:
            future = self.waiting.pop(frame.correlation, None)
        if frame.kind != REFUSED:
            if future is None:
                raise Malformed(f"a response to {frame.correlation}, which was not asked")
            future.set_result(frame.value)
            return
        if future is not None:
            future.set_exception(frame.value)
        if (frame.value.code < 100 and frame.value.code != SHUTTING_DOWN) or future is None:
            raise frame.value

    def _heartbeat(self) -> None:
        interval = self.hello["heartbeat"] / 1000
        while not self.closed.wait(interval / 4):
            now = time.monotonic()
            if now - self.last_received > 2 * interval:
                return self._end(ConnectionLost(f"nothing from the broker for {2 * interval:.1f} s"))
            if now - self.last_sent < interval / 2:
                continue
            try:
                with self.send_lock:
                    self.socket.sendall(frame_bytes(HEARTBEAT, 0))
                    self.last_sent = now
            except OSError as error:
                return self._end(error)


def backoff_seconds(attempt: int) -> float:
    """A random wait before the next connection: up to 50 ms · 2ⁿ, at most 5 s."""
    return random.uniform(0, min(5.0, 0.05 * 2 ** min(attempt, 10)))
