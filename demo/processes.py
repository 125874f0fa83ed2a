"""Real processes, watched the way systemd watches them: readiness by NOTIFY_SOCKET, kill -9, restart, SIGTERM."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path


class DemoFailure(Exception):
    """The demo cannot go on; the text says why and where to look."""


class Service:
    """One daemon with its log file and its notification socket."""

    def __init__(self, name: str, command: list[str], directory: Path) -> None:
        self.name = name
        self.command = command
        self.log = directory / "logs" / f"{name}.log"
        self.socket_path = directory / "notify" / name
        self.process: subprocess.Popen[bytes] | None = None
        self.is_ready = False
        self.status = ""
        self.kills = 0
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.socket_path.parent.mkdir(parents=True, exist_ok=True)
        self.notifications = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.notifications.bind(str(self.socket_path))

    def start(self) -> None:
        self.is_ready = False
        environment = {name: value for name, value in os.environ.items() if not name.startswith("WATCHDOG_")}
        environment["NOTIFY_SOCKET"] = str(self.socket_path)
        with self.log.open("ab") as log:
            # A session of its own: an interrupt at the terminal is the demo's, which then stops the daemons.
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                start_new_session=True)

    def poll(self) -> None:
        """Takes what the daemon said; raises when it ended on its own."""
        while True:
            try:
                text = self.notifications.recv(65_536).decode("utf-8", "replace")
            except BlockingIOError:
                break
            for line in text.splitlines():
                self.is_ready = self.is_ready or line == "READY=1"
                if line.startswith("STATUS="):
                    self.status = line.removeprefix("STATUS=")
        if self.process is not None and (code := self.process.poll()) is not None:
            self.process = None
            raise DemoFailure(f"{self.name} ended on its own with {exit_text(code)}\n{self.last_words()}")

    def kill(self) -> None:
        """kill -9, as the kernel or a power cut would: no last word."""
        if self.process is None:
            raise DemoFailure(f"{self.name} is not running")
        self.process.kill()
        self.process.wait()
        self.process = None
        self.kills += 1
        self.drop_notifications()

    def drop_notifications(self) -> None:
        """What the killed process said must not count for the next one."""
        try:
            while True:
                self.notifications.recv(65_536)
        except BlockingIOError:
            pass

    def terminate(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)

    def wait_for_exit(self, deadline: float) -> None:
        """Raises when the daemon does not end with 0 in time."""
        if self.process is None:
            return
        try:
            code = self.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired as error:
            raise DemoFailure(f"{self.name} did not end after SIGTERM\n{self.last_words()}") from error
        self.process = None
        if code != 0:
            raise DemoFailure(f"{self.name} ended after SIGTERM with {exit_text(code)}\n{self.last_words()}")

    def destroy(self) -> None:
        """For the end of the demo, however it ended."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        self.notifications.close()
        self.socket_path.unlink(missing_ok=True)

    def last_words(self, lines: int = 8) -> str:
        text = self.log.read_text("utf-8", "replace").splitlines()[-lines:] if self.log.exists() else []
        return "\n".join([f"  {self.log}:"] + [f"    {line}" for line in text])


def exit_text(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"status {code}"


def free_port() -> int:
    """A TCP port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
