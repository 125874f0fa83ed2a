"""The servers of the comparison: how each is started so that it syncs before it confirms, and stopped."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RELEASE = ROOT / ".build" / "release"
SCRATCH = ROOT / ".build" / "bench-peers"
NATS = ROOT / ".build" / "nats" / "bin" / "nats-server"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def first_line(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout.strip().splitlines()[0] if done.stdout.strip() else "?"


class Server:
    """One server on loopback with a directory of its own."""

    name = ""
    # What the strict mode is, and what it promises.
    settings = ""
    guarantee = ""
    start_seconds_max = 60

    def __init__(self):
        self.directory = SCRATCH / self.name
        self.port = free_port()
        self.process = None

    def version(self):
        raise NotImplementedError

    def command(self, strict):
        raise NotImplementedError

    def environment(self):
        return None

    def start(self, strict=True, wrapper=()):
        """Starts on what the directory holds. Not strict: the same without its syncs, to fill a backlog quickly."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with open(self.directory.with_suffix(".log"), "ab") as log:
            self.process = subprocess.Popen(
                [*wrapper, *self.command(strict)], cwd=self.directory, env=self.environment(), stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True)
        begin = time.monotonic()
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() - begin > self.start_seconds_max:
                raise RuntimeError(f"{self.name} did not start; see {self.directory}.log")
            time.sleep(0.005)
        return time.monotonic() - begin

    def answers(self):
        """True once a client is served, and so the whole of the data is read."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as client:
                client.settimeout(30)
                return self.greets(client)
        except OSError:
            return False

    def greets(self, client):
        return True

    def processes(self):
        """The process and all its descendants."""
        parents = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
                    parents[int(entry)] = int(fields[1])
                except OSError:
                    pass
        found = [self.process.pid]
        for identifier in found:
            found += [child for child, parent in parents.items() if parent == identifier]
        return found

    def signal(self, number):
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, number)

    def pause(self):
        """A paused server costs the others nothing."""
        self.signal(signal.SIGSTOP)

    def resume(self):
        self.signal(signal.SIGCONT)

    def stop(self):
        if self.process is None:
            return
        self.resume()
        self.signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.process = None

    def wipe(self):
        shutil.rmtree(self.directory, ignore_errors=True)

    def disk_bytes(self):
        """Blocks in use, not sizes: preallocated files count once they are written."""
        return sum(path.stat().st_blocks * 512 for path in self.directory.rglob("*") if path.is_file())


class Brokerd(Server):
    name = "brokerd"
    settings = "as installed; `unconfirmed_max` and `connections_max` raised for the load"
    guarantee = ("a confirmation and an answered ack follow fdatasync; at least once (a pop of the Redis listener: "
                 "at most once, as the client chose)")

    def __init__(self, binary=RELEASE / "brokerd"):
        super().__init__()
        self.binary = binary
        self.redis_port = free_port()

    def version(self):
        return first_line([self.binary, "--version"])

    def command(self, strict):
        configuration = self.directory / "brokerd.conf"
        configuration.write_text(
            "[broker]\nunconfirmed_max = 1000000\nconnections_max = 20000\nframe_max = 11M\nbody_max = 10M\n")
        return [self.binary, "--data-dir", self.directory / "data", "--listen", f"tcp://127.0.0.1:{self.port}",
                "--redis-listen", f"tcp://127.0.0.1:{self.redis_port}", "--config", configuration]


class Redis(Server):
    name = "redis"
    settings = "`appendonly yes`, `appendfsync always`, no snapshots, no rewrites of the log meanwhile"
    guarantee = ("a reply follows fsync; a list's pop is at most once; a group's entry is at least once, stays in the "
                 "stream after XACK, and all data is in memory")

    def version(self):
        return first_line(["redis-server", "--version"])

    def command(self, strict):
        return ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir", self.directory, "--save", "",
                "--appendonly", "yes", "--appendfsync", "always" if strict else "no",
                "--auto-aof-rewrite-percentage", "0", "--maxclients", "20000"]

    def greets(self, client):
        client.sendall(b"PING\r\n")
        return client.recv(64).startswith(b"+PONG")


class Beanstalkd(Server):
    name = "beanstalkd"
    settings = "`-b DIR -f 0`: fsync at each put, reserve and delete that is logged"
    guarantee = "INSERTED and DELETED follow fsync; at least once; jobs are in memory"

    def version(self):
        return first_line(["beanstalkd", "-v"])

    def command(self, strict):
        return ["beanstalkd", "-l", "127.0.0.1", "-p", str(self.port), "-b", self.directory,
                *(["-f", "0"] if strict else ["-F"])]

    def greets(self, client):
        client.sendall(b"list-tubes\r\n")
        return client.recv(64).startswith(b"OK")


class JetStream(Server):
    name = "nats"
    settings = "JetStream, file storage, `sync_interval: always`, one replica, work-queue retention"
    guarantee = "a publish ack follows fsync; at least once; an ack of a consumer is not confirmed"

    def version(self):
        return first_line([NATS, "--version"])

    def command(self, strict):
        configuration = self.directory / "nats.conf"
        sync = "always" if strict else "2m"
        configuration.write_text(
            f"listen: 127.0.0.1:{self.port}\n"
            f'jetstream {{ store_dir: "{self.directory}/store", sync_interval: {sync}, max_file_store: 20GB }}\n')
        return [NATS, "-c", configuration]

    def greets(self, client):
        client.recv(4096)
        client.sendall(b'CONNECT {"verbose":false}\r\nSUB i 1\r\nPUB $JS.API.INFO i 0\r\n\r\nPING\r\n')
        text = b""
        while b"PONG" not in text or b"MSG i" not in text:
            part = client.recv(65536)
            if not part:
                return False
            text += part
        return True


class RabbitMQ(Server):
    name = "rabbitmq"
    settings = "quorum queue, and durable classic queue; persistent messages, publisher confirms, multiple acks"
    guarantee = ("quorum: a confirm follows fdatasync of the write-ahead log; classic: see the trace below; at least "
                 "once; an ack of a consumer is not confirmed")
    start_seconds_max = 180

    def __init__(self):
        super().__init__()
        self.epmd_port = free_port()
        self.epmd = None

    def version(self):
        line = first_line(["dpkg-query", "-W", "-f", "${Version}", "rabbitmq-server"])
        erlang = first_line(["dpkg-query", "-W", "-f", "${Version}", "erlang-base"])
        return f"RabbitMQ {line} on Erlang {erlang}"

    def environment(self):
        base = str(self.directory)
        (self.directory / "plugins").write_text("[].\n")
        return {**os.environ, "HOME": base, "RABBITMQ_NODENAME": "bench@localhost", "RABBITMQ_MNESIA_BASE": f"{base}/db",
                "RABBITMQ_LOG_BASE": f"{base}/log", "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
                "RABBITMQ_NODE_PORT": str(self.port), "RABBITMQ_DIST_PORT": str(free_port()),
                "ERL_EPMD_PORT": str(self.epmd_port), "RABBITMQ_CONFIG_FILE": f"{base}/rabbitmq",
                "RABBITMQ_ENABLED_PLUGINS_FILE": f"{base}/plugins", "RABBITMQ_RUNNING_UNDER_SYSTEMD": "true",
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}"}

    def command(self, strict):
        return ["/usr/lib/rabbitmq/bin/rabbitmq-server"]

    def start(self, strict=True, wrapper=()):
        if self.epmd is None:
            # Else the first Erlang starts one that outlives it.
            self.epmd = subprocess.Popen(
                ["epmd", "-port", str(self.epmd_port), "-address", "127.0.0.1"], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        return super().start(strict, wrapper)

    def greets(self, client):
        client.sendall(b"AMQP\x00\x00\x09\x01")
        return client.recv(8).startswith(b"\x01\x00\x00")

    def stop(self):
        super().stop()
        if self.epmd:
            self.epmd.kill()
            self.epmd.wait()
            self.epmd = None


class AnswerOnly(Server):
    """brokerbench's server without storage."""

    guarantee = "none: it stores nothing"

    def __init__(self, protocol):
        self.name = f"answer-{protocol}"
        self.protocol = protocol
        super().__init__()

    def version(self):
        return "brokerbench"

    def command(self, strict):
        return [RELEASE / "brokerbench", "answer", "--protocol", self.protocol, "--endpoint",
                f"tcp://127.0.0.1:{self.port}"]


def machine():
    """Cores, processor, kernel and the file system of the scratch directory."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    disk = first_line(["findmnt", "-n", "-o", "SOURCE,FSTYPE,OPTIONS", "-T", str(ROOT)])
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    return {
        "cores": os.cpu_count(), "processor": cpu.group(1) if cpu else "?", "kernel": os.uname().release,
        "memory": f"{int(memory.group(1)) / 2**20:.0f} GiB" if memory else "?", "disk": disk}
