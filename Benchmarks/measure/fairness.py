"""Whether speed is bought with unfairness; brokerd alone, native protocol."""

from statistics import median

from load import System
from servers import Brokerd

OTHERS = dict(producers=4, rate=5000)
IDLE = 10_000


def measure(seconds, rounds, say):
    server = Brokerd()
    system = System("brokerd", server, "native")
    figures = {}

    def add(key, name, **options):
        result = system.load(name, seconds, **options)
        figures.setdefault(key, []).append(result)
        return result

    server.wipe()
    server.start()
    try:
        for number in range(rounds):
            # Memory that an earlier run has made free again would hide what connections cost: the figure of the first
            # run of a new server holds.
            add("idle", f"i{number}", producers=50, window=1, idle=IDLE)
            add("alone", f"a{number}", producers=50, window=1)
            add("many", f"m{number}", producers=1000, window=1)
            add("calm", f"c{number}", **OTHERS)
            add("slow", f"s{number}", disturb="slow", **OTHERS)
            add("large", f"l{number}", disturb=10_000_000, **OTHERS)
    finally:
        server.stop()
        server.wipe()

    def ratio(key, base, path):
        found = [value(a, path) / value(b, path) for a, b in zip(figures[key], figures[base])
                 if value(a, path) and value(b, path)]
        return median(found) if found else None

    errors = [result["error"] for results in figures.values() for result in results if "error" in result]
    share = median([value(result, "slowestShare") or 0 for result in figures["many"]])
    idle = value(figures["idle"][0], "idleKiB")
    goals = [
        ["1,000 connections: the slowest ≥ 50% of the median", f"{share:.0%}", share >= 0.5],
    ]
    for key, what in (("slow", "a slow consumer"), ("large", "a 10 MB body each second")):
        found = ratio(key, "calm", "confirm.p99")
        if found:
            goals.append([f"{what}: the others' p99 ≤ 2 ×", f"{found:.2f}×", found <= 2])
    if idle is not None:
        goals.append(["10,000 idle connections ≤ 6 KiB each", f"{idle:.1f} KiB", idle <= 6])
    found = ratio("idle", "alone", "perSecond")
    if found:
        goals.append(["10,000 idle connections: no throughput lost (≥ 95%)", f"{found:.0%}", found >= 0.95])
    rows = [
        ["1,000 connections × 1", middle(figures["many"], "perSecond"), "–"],
        ["4 producers at 5,000/s", middle(figures["calm"], "perSecond"), middle(figures["calm"], "confirm.p99")],
        ["the same beside a slow consumer", middle(figures["slow"], "perSecond"), middle(figures["slow"], "confirm.p99")],
        ["the same beside a 10 MB body a second", middle(figures["large"], "perSecond"),
         middle(figures["large"], "confirm.p99")],
        ["50 connections × 1", middle(figures["alone"], "perSecond"), middle(figures["alone"], "confirm.p99")],
        ["the same beside 10,000 idle ones", middle(figures["idle"], "perSecond"), middle(figures["idle"], "confirm.p99")],
    ]
    for goal, shown, met in goals:
        say(f"{goal}: {shown} {'pass' if met else 'MISS'}")
    for error in dict.fromkeys(errors):
        say(f"fairness: {error}")
    return {"goals": goals, "head": ["run", "msgs/s", "p99 µs"], "rows": rows}


def value(result, path):
    for part in path.split("."):
        result = result.get(part) if isinstance(result, dict) else None
    return result


def middle(results, path):
    found = [value(result, path) for result in results if value(result, path) is not None]
    return f"{median(found):,.0f}" if found else "–"
