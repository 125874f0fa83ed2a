"""Runs of brokerbench against a system: a server in one of its protocols."""

import json
import subprocess

from servers import RELEASE

BENCH = RELEASE / "brokerbench"


class System:
    """A server and the protocol in which it is spoken to."""

    def __init__(self, name, server, protocol, port=None, delivery="at least once", fans_out=True):
        self.name = name
        self.server = server
        self.protocol = protocol
        self.own_port = port
        self.delivery = delivery
        self.fans_out = fans_out

    @property
    def port(self):
        return self.own_port or self.server.port

    def load(self, label, seconds, **options):
        """One run; its figures, or `{"error": text}`."""
        command = [BENCH, "load", "--protocol", self.protocol, "--endpoint", f"tcp://127.0.0.1:{self.port}",
                   "--label", label, "--seconds", str(seconds)]
        for identifier in self.server.processes():
            command += ["--pid", str(identifier)]
        for name, value in options.items():
            command += [f"--{name}"] if value is True else [f"--{name}", str(value)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 150)
        except subprocess.TimeoutExpired:
            return {"error": "no end"}
        if done.returncode != 0:
            return {"error": done.stderr.strip()[-200:] or f"exit code {done.returncode}"}
        return json.loads(done.stdout)


def syncs_per_second(directory, seconds=1.0):
    done = subprocess.run([BENCH, "sync", "--dir", directory, "--seconds", str(seconds)], capture_output=True, text=True,
                          check=True)
    return int(done.stdout)
