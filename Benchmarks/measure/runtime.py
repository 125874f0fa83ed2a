"""The client library and the worker runtime: a handler that does nothing."""

import json
import subprocess

from load import BENCH
from servers import Brokerd


def measure(quick, say):
    server = Brokerd()
    rows = []
    server.wipe()
    server.start()
    try:
        for slots in (1, 16, 64):
            command = [BENCH, "workers", "--endpoint", f"tcp://127.0.0.1:{server.port}", "--pid",
                       str(server.process.pid), "--messages", str(500 if quick else 2_000 + 500 * slots), "--slots", str(slots)]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=60)
            except subprocess.TimeoutExpired:
                say(f"workers, {slots} slots: no end in a minute")
                continue
            if done.returncode != 0:
                say(f"workers: {done.stderr.strip()[-200:]}")
                continue
            for part in json.loads(done.stdout)[0 if slots == 64 else 1:]:
                rows.append([part["what"], f"{part['perSecond']:,.0f}", f"{part['cpuShare']:.0%}",
                             f"{part['perSecondPerCore']:,.0f}", f"{part['serverCPUShare']:.0%}"])
                say(f"{part['what']}: {part['perSecond']:,.0f}/s, {part['cpuShare']:.0%} of a core")
    finally:
        server.stop()
        server.wipe()
    return {"head": ["part", "msgs/s", "share of a core", "msgs/s of a whole core", "brokerd's share of a core"],
            "rows": rows}
