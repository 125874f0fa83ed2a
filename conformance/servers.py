"""Starts the servers under comparison, each with an empty directory of its own."""

import shutil
import socket
import subprocess
import tempfile
import time

import wire

START_SECONDS = 20


class Server:
    """One running server; ends with the `with` block."""

    def __init__(self, name, arguments, program=None):
        self.name = name
        self.directory = tempfile.mkdtemp(prefix="conformance-")
        self.port = free_port()
        with open(f"{self.directory}/output", "wb") as output:
            self.process = subprocess.Popen(
                arguments(self.directory, self.port), executable=program, stdout=output, stderr=subprocess.STDOUT,
                cwd=self.directory,
            )  # fmt: skip

    def __enter__(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if not self.is_running:
                break
            try:
                connection = wire.Connection(self.port)
                connection.command([b"PING"])
                connection.reply(1)
                connection.close()
                return self
            except (OSError, TimeoutError, wire.Closed):
                time.sleep(0.01)
        said = self.output()
        self.__exit__()
        raise SystemExit(f"{self.name} does not answer on port {self.port}; it said:\n{said}")

    def __exit__(self, *_):
        # Its directory goes as well: there is nothing to end in peace.
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def is_running(self):
        return self.process.poll() is None

    def output(self):
        with open(f"{self.directory}/output", errors="replace") as output:
            return output.read()[-4000:]


def redis(path):
    """Debian's redis-tools has the whole server as redis-check-rdb, which looks at the name that it is called by."""

    def arguments(directory, port):
        return [
            "redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", directory, "--save", "",
            "--appendonly", "yes", "--appendfsync", "always",
        ]  # fmt: skip

    return lambda: Server("redis-server", arguments, path)


def brokerd(path):
    def arguments(directory, port):
        return [
            path, "--data-dir", f"{directory}/data", "--listen", f"unix://{directory}/native",
            "--redis-listen", f"tcp://127.0.0.1:{port}",
        ]  # fmt: skip

    return lambda: Server("brokerd", arguments)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
