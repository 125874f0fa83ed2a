"""Processes are watched. Run all tests of the demo with: python3 -m unittest discover demo"""

from __future__ import annotations

import sys
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from processes import DemoFailure, Service


class Watching(unittest.TestCase):
    """Services that are small shell scripts."""

    NOTIFY = (
        "import os,socket,time; s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM);"
        "s.sendto(b'READY=1\\nSTATUS=fine',os.environ['NOTIFY_SOCKET']); time.sleep(60)")

    def service(self, command: list[str]) -> Service:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        service = Service("one", command, Path(directory.name))
        self.addCleanup(service.destroy)
        return service

    def until(self, holds: Any, service: Service) -> None:
        deadline = time.monotonic() + 10
        while not holds():
            self.assertLess(time.monotonic(), deadline)
            service.poll()
            time.sleep(0.01)

    def test_readiness_kill_and_restart(self) -> None:
        service = self.service([sys.executable, "-c", self.NOTIFY])
        for kills in (1, 2):
            service.start()
            self.assertFalse(service.is_ready)
            self.until(lambda: service.is_ready, service)
            self.assertEqual(service.status, "fine")
            service.kill()
            self.assertEqual(service.kills, kills)
        with self.assertRaises(DemoFailure):
            service.kill()

    def test_an_end_of_its_own_is_a_failure_with_the_last_words(self) -> None:
        service = self.service(["sh", "-c", "echo it hurts; exit 3"])
        service.start()
        with self.assertRaisesRegex(DemoFailure, "(?s)status 3.*it hurts"):
            self.until(lambda: False, service)

    def test_only_zero_is_a_good_end(self) -> None:
        for code, is_good in ((0, True), (1, False)):
            service = self.service(
                ["sh", "-c", f"trap 'exit {code}' TERM; echo up; while :; do sleep 0.05; done"])
            service.start()
            self.until(lambda: service.log.read_text() == "up\n", service)
            service.terminate()
            if is_good:
                service.wait_for_exit(time.monotonic() + 10)
            else:
                with self.assertRaisesRegex(DemoFailure, "status 1"):
                    service.wait_for_exit(time.monotonic() + 10)


if __name__ == "__main__":
    unittest.main()
