"""The workloads of the comparison, and the backlog."""

import time

W1 = {
    "1×1": dict(producers=1, window=1),
    "50×1": dict(producers=50, window=1),
    "4×128": dict(producers=4, window=128),
    "1×1, 100 topics": dict(producers=1, window=1, topics=100),
    "50×1, 100 topics": dict(producers=50, window=1, topics=100),
    "4×128, 100 topics": dict(producers=4, window=128, topics=100),
}
W2 = {
    "2+2×128": dict(producers=2, consumers=2, window=128),
    "8+8×1": dict(producers=8, consumers=8, window=1),
}
W3 = {
    "2,000/s": dict(producers=4, rate=2000),
    "20,000/s": dict(producers=4, rate=20000),
    "2,000/s to the consumer": dict(producers=4, consumers=2, rate=2000, window=128),
}
W5 = {"1 topic, 3 subscriptions": dict(producers=4, consumers=1, subscriptions=3, window=128)}

GROUPS = {
    "W1": ("confirmed publish, 256 B (connections × window)", W1),
    "W2": ("work queue end to end (producers + consumers × window), every message acknowledged", W2),
    "W3": ("latency at a fixed rate, from the intended send time", W3),
    "W5": ("fan-out, all acknowledged; publishes a second", W5),
}
COUNTED = [("1×1", W1["1×1"]), ("50×1", W1["50×1"]), ("4×128", W1["4×128"]), ("2+2×128", W2["2+2×128"])]


def is_for(system, options):
    return system.fans_out or options.get("subscriptions", 1) == 1


def backlog(system, messages, load_seconds, drain_seconds):
    """W4: fills quickly, restarts in the strict mode, drains with acks. The server is not running before and after."""
    server = system.server
    server.wipe()
    server.start(strict=False)
    try:
        # A first message brings up what a queue itself costs.
        system.load("warm", 1, producers=1, messages=1)
        empty = resident(server)
        disk = server.disk_bytes()
        load = system.load("deep", load_seconds, producers=4, window=128, messages=messages, keep=True)
        if "error" in load:
            return load
        count = load["confirmed"]
        time.sleep(1)
        figures = {
            "count": count, "loadPerSecond": load["perSecond"], "held": load["held"],
            "ramBytes": (resident(server) - empty) * 1024 / count,
            "diskBytes": (server.disk_bytes() - disk) / count}
        server.stop()
        start = server.start()
        figures["restartedKiB"] = resident(server)
        drain = system.load("deep", drain_seconds, producers=0, consumers=4, window=128, messages=count)
        if "error" in drain:
            return drain
        figures.update(
            startSeconds=start, readySeconds=start + drain.get("firstDeliverySeconds", 0),
            drainPerSecond=drain["perSecond"], drainCPUPerMillion=drain["serverCPUPerMillion"],
            peakMiB=drain["serverPeakMiB"], missing=drain["missing"], duplicates=drain["duplicates"],
            damaged=drain["damaged"])
        return figures
    finally:
        server.stop()
        server.wipe()


def resident(server):
    """KiB of all its processes."""
    total = 0
    for identifier in server.processes():
        try:
            with open(f"/proc/{identifier}/status") as status:
                total += sum(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
        except OSError:
            pass
    return total
