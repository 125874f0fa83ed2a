"""brokerd alone, in less than a minute: rates, and allocations and instructions a message against stored figures.

Rates depend on the machine and never fail. Exit code 1 when a message allocates more than thresholds.json allows, or, without
--fail-on allocations, costs more instructions. --update stores what was found."""

import json
import os
import re
import shutil
import struct
import subprocess
import sys
from statistics import median

from load import System, syncs_per_second
from servers import RELEASE, ROOT, SCRATCH, AnswerOnly, Brokerd, machine
from workloads import W1, W2

THRESHOLDS = ROOT / "Benchmarks" / "thresholds.json"
TOOLS = ROOT / ".build" / "bench-tools"
RATES = {f"publish {name}": W1[name] for name in ("1×1", "50×1", "4×128", "4×128, 100 topics")} | {
    f"queue {name}": options for name, options in W2.items()}
# Fewer and more messages of the same run: the difference is the steady state, without start, connections and deletion.
COUNTED = {
    "publish 1×1": (W1["1×1"], 500, 3_000),
    "publish 4×128": (W1["4×128"], 40_000, 200_000),
    "queue 2+2×128": (W2["2+2×128"], 40_000, 160_000),
}
# Under valgrind a message takes about fifty times as long.
TRACED = {
    "publish 1×1": (W1["1×1"], 500, 2_500),
    "publish 4×128": (W1["4×128"], 5_000, 25_000),
    "queue 2+2×128": (W2["2+2×128"], 5_000, 20_000),
}
TOLERANCES = {"allocations": 0.25, "instructions": 0.15}
# So that a figure near zero has room.
SLACK = {"allocations": 0.05, "instructions": 50}


class CountingBrokerd(Brokerd):
    """brokerd whose allocations are counted."""

    name = "brokerd-allocations"

    def environment(self):
        return os.environ | {"LD_PRELOAD": str(TOOLS / "allocations.so"), "ALLOCATIONS_FILE": str(self.file)}

    @property
    def file(self):
        return self.directory / "allocations"

    def count(self):
        return struct.unpack("Q", self.file.read_bytes())[0]


class TracedBrokerd(Brokerd):
    """brokerd under callgrind, which counts its instructions."""

    name = "brokerd-instructions"

    def command(self, strict):
        return ["valgrind", "--tool=callgrind", f"--callgrind-out-file={self.directory}/callgrind.out",
                *super().command(strict)]

    def count(self):
        """After the stop."""
        text = (self.directory / "callgrind.out").read_text()
        return int(re.search(r"^(?:summary|totals): (\d+)", text, re.M).group(1))


def load(system, label, seconds, **options):
    result = system.load(label, seconds, **options)
    if "error" in result:
        raise SystemExit(f"bench: {label}: {result['error']}")
    return result


def rates(seconds):
    """Messages a second; the limits first."""
    found = {"fdatasync of 4 KiB": syncs_per_second(SCRATCH)}
    server, answers = Brokerd(), AnswerOnly("native")
    system = System("brokerd", server, "native")
    server.wipe()
    try:
        answers.start()
        for name in ("1×1", "50×1", "4×128"):
            answer = load(System("answer", answers, "native"), "a", 0.5, unchecked=True, **W1[name])
            found[f"answer-only {name}"] = answer["perSecond"]
        answers.stop()
        server.start()
        load(system, "warm", 1, **W1["4×128"])
        for index, (name, options) in enumerate(RATES.items()):
            result = load(system, f"r{index}", seconds, **options)
            found[name] = result["perSecond"]
            found[f"{name}: CPU s/million"] = result["serverCPUPerMillion"]
    finally:
        answers.stop()
        server.stop()
        server.wipe()
        shutil.rmtree(answers.directory, ignore_errors=True)
    return found


def slope(fewer, more):
    """Counts a message, from two pairs of messages and counts. A slow disk may have cut a run short."""
    return (more[1] - fewer[1]) / max(more[0] - fewer[0], 1)


def allocations():
    compiler = shutil.which("cc") or shutil.which("clang")
    if not compiler:
        print("bench: no C compiler, allocations are not counted", file=sys.stderr)
        return {}
    TOOLS.mkdir(parents=True, exist_ok=True)
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", TOOLS / "allocations.so",
                    ROOT / "Benchmarks" / "measure" / "allocations.c"], check=True)
    server = CountingBrokerd()
    system = System("brokerd", server, "native")
    found = {}
    server.wipe()
    server.start()
    try:
        load(system, "warm", 1, **W1["4×128"])
        for index, (name, (options, fewer, more)) in enumerate(COUNTED.items()):
            slopes = []
            for turn in range(3):
                points = []
                for count in (fewer, more):
                    before = server.count()
                    result = load(system, f"a{index}t{turn}m{count}", 20, messages=count, keep=True, **options)
                    points.append((result["confirmed"], server.count() - before))
                slopes.append(slope(*points))
            found[name] = max(median(slopes), 0)
    finally:
        server.stop()
        server.wipe()
    return found


def instructions():
    if not shutil.which("valgrind"):
        print("bench: no valgrind, instructions are not counted; scripts/setup bench installs it", file=sys.stderr)
        return {}
    TOOLS.mkdir(parents=True, exist_ok=True)
    binary = TOOLS / "brokerd"
    shutil.copy2(RELEASE / "brokerd", binary)
    # Valgrind reads debug information, and takes longer for it than for the run.
    subprocess.run(["strip", "--strip-debug", binary], check=True)
    found = {}
    for name, (options, fewer, more) in TRACED.items():
        points = []
        for count in (fewer, more):
            server = TracedBrokerd(binary)
            server.wipe()
            server.start()
            try:
                result = load(System("brokerd", server, "native"), "i", 60, messages=count, keep=True, **options)
                server.stop()
                points.append((result["confirmed"], server.count()))
            finally:
                server.stop()
                server.wipe()
        found[name] = slope(*points)
    return found


def compare(kind, found, stored):
    """Prints a table; returns what is above its threshold."""
    above = []
    for name, value in found.items():
        entry = stored.get(kind, {}).get(name)
        line = f"  {name:<36} {value:>12,.2f}" if value < 100 else f"  {name:<36} {value:>12,.0f}"
        if entry is not None and kind == "rates":
            line += f"   stored {entry:>12,.0f}   {value / entry - 1:+.0%}" if entry else ""
        elif entry is not None:
            limit = entry * (1 + TOLERANCES[kind]) + SLACK[kind]
            is_above = value > limit
            line += f"   stored {entry:>12,.2f}   limit {limit:>12,.2f}   {'ABOVE' if is_above else 'ok'}"
            if is_above:
                above.append(name)
        print(line)
    return above


def main():
    arguments = sys.argv[1:]
    stored = json.loads(THRESHOLDS.read_text()) if THRESHOLDS.exists() else {}
    SCRATCH.mkdir(parents=True, exist_ok=True)
    kinds = {
        "rates": ("messages a second (other machines differ)", lambda: rates(1.0)),
        "allocations": ("allocations a message", allocations),
        "instructions": ("instructions a message", instructions)}
    found, above = {}, {}
    for kind, (title, measure) in kinds.items():
        found[kind] = measure()
        print(f"\n{title}", flush=True)
        above[kind] = compare(kind, found[kind], stored)
    if "--update" in arguments:
        rounded = {kind: {name: round(value, 2) for name, value in figures.items()} for kind, figures in found.items()}
        THRESHOLDS.write_text(json.dumps(
            {"machine": machine()["processor"], **rounded}, indent=2, ensure_ascii=False) + "\n")
        print(f"\nstored in {THRESHOLDS.relative_to(ROOT)}")
        return 0
    failing = ["allocations"] if "allocations" in arguments else ["allocations", "instructions"]
    for kind in failing:
        for name in above[kind]:
            print(f"bench: {kind} of {name} are above the threshold", file=sys.stderr)
    return 1 if any(above[kind] for kind in failing) else 0


if __name__ == "__main__":
    sys.exit(main())
