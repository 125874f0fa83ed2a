"""What strace sees: whether a server syncs before it confirms, and how often it syncs."""

import re
import time

from servers import SCRATCH

SYNCS = "fsync,fdatasync,sync_file_range,msync,syncfs,sync"
WRITES = "write,writev,pwrite64,pwritev,pwritev2"
SENDS = "write,writev,sendto,sendmsg,sendmmsg"
OPENS = "open,openat,openat2,io_uring_enter"
CONFIRMS = 20


class Trace:
    """The lines of strace, read as far as they are there."""

    def __init__(self, path):
        self.path = path
        self.offset = 0
        # Calls that are not over, by thread.
        self.begun = {}
        # Files whose every write is a sync.
        self.durable = set()
        self.has_ring = False

    def wrapper(self, calls):
        return ["strace", "-f", "--seccomp-bpf", "-yy", "-s", "0", "-e", f"trace={calls},{OPENS}", "-o", self.path]

    def lines(self):
        """New lines; each as (call, text, is the call over, did it begin on an earlier line)."""
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            data = file.read()
        self.offset += len(data)
        for line in data.decode(errors="replace").splitlines():
            match = re.match(r"(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)", line)
            if not match:
                continue
            process, resumed, call, text = match.groups()
            if resumed:
                yield resumed, self.begun.pop(process, "") + text, True, True
            elif text.endswith("<unfinished ...>"):
                self.begun[process] = text
                yield call, text, False, False
            else:
                yield call, text, True, False

    def syncs(self):
        """Counts the syncs among the new lines, by call."""
        counts = {}
        for call, text, is_over, _ in self.lines():
            if self.is_sync(call, text, is_over):
                counts[call] = counts.get(call, 0) + 1
        return counts

    def is_sync(self, call, text, is_over):
        if call.startswith("open") and re.search(r"O_D?SYNC", text):
            path = re.search(r'<([^>]+)>\)?$|= \d+<([^>]+)>', text)
            if path:
                self.durable.add(path.group(1) or path.group(2))
        if call == "io_uring_enter":
            self.has_ring = True
        if not is_over:
            return False
        if call in SYNCS.split(",") and "= 0" in text:
            return True
        if call == "pwritev2" and "DSYNC" in text:
            return True
        return call in WRITES.split(",") and any(f"<{path}>" in text for path in self.durable)


def sync_order(system):
    """Publishes one by one and looks at each confirmation: how many were sent after a sync that followed the one before.

    Returns (confirmations looked at, of those after a sync, names of the calls and files)."""
    trace = Trace(SCRATCH / f"{system.server.name}.trace")
    server = system.server
    server.wipe()
    server.start(wrapper=trace.wrapper(f"{SYNCS},{SENDS},{WRITES}"))
    try:
        figures = system.load("trace", 20, producers=1, window=1, messages=CONFIRMS)
        if "error" in figures:
            return 0, 0, figures["error"]
        time.sleep(0.2)
        sends, calls = {}, {}
        syncs, latest = 0, ""
        for call, text, is_over, is_resumed in trace.lines():
            if trace.is_sync(call, text, is_over):
                syncs += 1
                file = re.search(r"<([^>]*)>", text)
                latest = f"{call} of {file.group(1).rsplit('/', 1)[-1]}" if file else call
            peer = re.search(rf"TCP(?:v6)?:\[(?:::ffff:)?127\.0\.0\.1:{system.port}->[^\]]*:(\d+)\]", text)
            if peer and call in SENDS.split(",") and not is_resumed:
                sends.setdefault(peer.group(1), []).append(syncs)
                calls[latest] = calls.get(latest, 0) + 1
        # The producer's connection: the most sends, the confirmations last.
        counts = max(sends.values(), key=len, default=[])[-CONFIRMS - 1:]
        after = sum(1 for before, now in zip(counts, counts[1:]) if now > before)
        name = max(calls, key=calls.get, default="") or "no sync"
        return max(len(counts) - 1, 0), after, name + (", io_uring" if trace.has_ring else "")
    finally:
        server.stop()
        server.wipe()
        trace.path.unlink(missing_ok=True)


def sync_counts(systems, workloads, seconds):
    """Syncs for each 1,000 messages; all systems of one server, each workload in a run of its own."""
    server = systems[0].server
    trace = Trace(SCRATCH / f"{server.name}.trace")
    counts = {}
    server.wipe()
    server.start(wrapper=trace.wrapper(SYNCS))
    try:
        for system in systems:
            for name, options in workloads:
                time.sleep(0.2)
                trace.syncs()
                figures = system.load(f"sync{len(counts)}", seconds, **options)
                if "error" in figures:
                    continue
                time.sleep(0.2)
                syncs = sum(trace.syncs().values())
                counts[system.name, name] = syncs * 1000 / max(figures["confirmed"], 1)
    finally:
        server.stop()
        server.wipe()
        trace.path.unlink(missing_ok=True)
    return counts
