"""Tables and goals out of the figures of a comparison."""

from statistics import median

from workloads import GROUPS

OURS = "brokerd"


def values(runs, key):
    """The figures of the rounds that ended well; key may be a path such as confirm.p99."""
    found = []
    for run in runs:
        for part in key.split("."):
            run = run.get(part) if isinstance(run, dict) else None
        if run is not None:
            found.append(run)
    return found


def middle(runs, key, form="{:,.0f}", scale=1.0):
    found = values(runs, key)
    return form.format(median(found) * scale) if found else "–"


def table(head, rows):
    """Columns of numbers stand at the right."""
    def is_number(cell):
        return cell.replace(",", "").lstrip("-").replace(".", "").replace("–", "").rstrip("×%").isdigit() or cell == "–"

    marks = ["--:" if rows and all(is_number(row[at]) for row in rows) else "---" for at in range(len(head))]
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(marks) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def checked(runs):
    """What became of the messages, over all rounds."""
    problems = []
    for run in runs:
        if "error" in run:
            problems.append(run["error"])
            continue
        if run.get("held") is not None and run["held"] != run["confirmed"]:
            problems.append(f"holds {run['held']} of {run['confirmed']}")
        for key in ("missing", "damaged", "duplicates"):
            if run[key]:
                problems.append(f"{run[key]} {key}")
    return "; ".join(dict.fromkeys(problems)) or "all, once"


def group_tables(figures, group):
    title, workloads = GROUPS[group]
    parts = [f"### {group}: {title}\n"]
    for name in workloads:
        runs = figures["runs"].get(group, {}).get(name, {})
        if not runs:
            continue
        parts.append(f"**{name}**\n")
        rows = []
        for protocol, answers in figures["answers"].get(name, {}).items() if group == "W1" else ():
            rows.append((f"answer-only, {protocol}", answers))
        rows += runs.items()
        fsyncs = figures["fsyncs"].get(name, {})
        lines = []
        for system, results in rows:
            rates = values(results, "perSecond")
            spread = f"{min(rates):,.0f}–{max(rates):,.0f}" if rates else "–"
            which = "delivery" if values(results, "delivery.p50") and group != "W1" else "confirm"
            latencies = [middle(results, f"{which}.{p}", "{:.2f}", 1e-3) for p in ("p50", "p99", "p999")]
            fsync = fsyncs.get(system)
            lines.append([
                system, middle(results, "perSecond"), spread, *latencies, middle(results, "serverCPUPerMillion", "{:.1f}"),
                middle(results, "serverPeakMiB"), f"{fsync:.1f}" if fsync is not None else "–",
                "–" if system.startswith("answer") else checked(results)])
        parts.append(table(
            ["system", "msgs/s", "min–max", "p50 ms", "p99 ms", "p99.9 ms", "CPU s/million", "peak MiB", "fsyncs/1,000",
             "verified"], lines))
    return "\n".join(parts)


def is_peer(figures, system):
    """A peer of the same promise: another server, nearly all of whose confirmations left after a sync."""
    if figures["systems"][system]["server"] == OURS:
        return False
    order = figures["order"].get(system)
    return order is None or order[0] > 0 and order[1] >= 0.95 * order[0]


def ratios(figures, group, name, key, peers, ours=OURS):
    """For each peer the median of ours / theirs over the rounds."""
    runs = figures["runs"].get(group, {}).get(name, {})
    found = {}
    for peer in peers:
        pairs = [(a, b) for a, b in zip(runs.get(ours, []), runs.get(peer, [])) if values([a], key) and values([b], key)]
        if pairs:
            found[peer] = median(values([a], key)[0] / max(values([b], key)[0], 1e-9) for a, b in pairs)
    return found


class Goals:
    def __init__(self, figures):
        self.figures = figures
        self.rows = []

    def add(self, goal, shown, is_met, note=""):
        self.rows.append([goal, shown, "pass" if is_met else "MISS", note])

    def against_peers(self, goal, group, name, key, factor, peers, most=False):
        """`most`: ours must be at most `factor` of the best peer's, else at least."""
        found = ratios(self.figures, group, name, key, peers)
        if found:
            best = (max if most else min)(found, key=found.get)
            met = found[best] <= factor if most else found[best] >= factor
            self.add(goal, f"{found[best]:.2f}×", met, f"against {best}")

    def share(self, goal, group, name, wanted, limits):
        """Ours as a share of a limit; both in the same round."""
        runs = self.figures["runs"].get(group, {}).get(name, {}).get(OURS, [])
        shares = [run["perSecond"] / limit for run, limit in zip(runs, limits) if "error" not in run and limit]
        if shares:
            self.add(goal, f"{median(shares):.0%}", median(shares) >= wanted)


def goals(figures):
    peers = [system for system in figures["systems"] if is_peer(figures, system)]
    keepers = [system for system in peers if figures["systems"][system]["delivery"] == "at least once"]
    goals = Goals(figures)

    def answers(name):
        return [run.get("perSecond") for run in figures["answers"].get(name, {}).get("native", [])]

    for name, factor, share in (("50×1", 1.3, 0.7), ("4×128", 3, 0.6), ("1×1", 1.3, None)):
        goals.against_peers(f"W1 {name} ≥ {factor} × the best peer", "W1", name, "perSecond", factor, peers)
        if share:
            goals.share(f"W1 {name} ≥ {share:.0%} of answer-only", "W1", name, share, answers(name))
    alone = figures["runs"].get("W1", {}).get("1×1", {}).get(OURS, [])
    limits = [1 / (1 / run["syncsPerSecond"] + 1 / answer) for run, answer in zip(alone, answers("1×1"))
              if "syncsPerSecond" in run and answer]
    goals.share("W1 1×1 ≥ 80% of 1/(fdatasync + round trip)", "W1", "1×1", 0.8, limits)
    for name in GROUPS["W2"][1]:
        goals.against_peers(f"W2 {name} ≥ 3 × the best at-least-once peer", "W2", name, "perSecond", 3, keepers)
    for name in GROUPS["W3"][1]:
        key = "delivery.p99" if "consumer" in name else "confirm.p99"
        goals.against_peers(f"W3 {name}: the lowest p99", "W3", name, key, 1, peers, most=True)
    for group, names, those in (("W1", GROUPS["W1"][1], peers), ("W2", GROUPS["W2"][1], keepers)):
        for name in names:
            if "topics" not in name:
                goals.against_peers(f"{group} {name}: CPU s/million ≤ half of the best peer's", group, name,
                                    "serverCPUPerMillion", 0.5, those, most=True)
    for name in ("1×1", "50×1", "4×128"):
        one = figures["runs"].get("W1", {}).get(name, {}).get(OURS, [])
        goals.share(f"W1 {name}: 100 topics ≥ 90% of 1 topic", "W1", f"{name}, 100 topics", 0.9,
                    [run.get("perSecond") for run in one])
    pipelined = figures["runs"].get("W1", {}).get("4×128", {}).get(OURS, [])
    for name in GROUPS["W5"][1]:
        goals.share("W5 ≥ half of W1 4×128", "W5", name, 0.5, [run.get("perSecond") for run in pipelined])
    for goal, shown, met in figures["fairness"].get("goals", []):
        goals.add(goal, shown, met)
    return goals.rows


def backlog_table(figures):
    rows = []
    for system, found in figures["backlog"].items():
        if "error" in found:
            rows.append([system, found["error"]] + [""] * 8)
            continue
        state = "all, once" if not (found["missing"] or found["duplicates"] or found["damaged"]) else (
            f"{found['count'] - found['missing']:,} drained in time, {found['duplicates']} duplicates, "
            f"{found['damaged']} damaged")
        rows.append([
            system, f"{found['count']:,}", f"{found['loadPerSecond']:,.0f}", f"{found['ramBytes']:,.0f}",
            f"{found['diskBytes']:,.0f}", f"{found['readySeconds']:.2f}", f"{found['restartedKiB'] / 1024:,.0f}",
            f"{found['drainPerSecond']:,.0f}", f"{found['drainCPUPerMillion']:.1f}", state])
    return table(["system", "backlog", "filled at/s ¹", "RAM B/msg", "disk B/msg", "ready s ²", "RSS MiB after",
                  "drained at/s", "CPU s/million", "verified"], rows)


def text(figures):
    machine = figures["machine"]
    syncs = figures["syncs"] or [0]
    parts = [
        "# Results\n", f"Made by `make bench-peers` on {figures['date']}; [docs/BENCHMARKS.md](../docs/BENCHMARKS.md) says how to "
        "read and repeat it. Absolute figures belong to this machine; compare the ratios.\n",
        f"- Machine: {machine['cores']} cores, {machine['processor']}, {machine['memory']}, kernel {machine['kernel']}, "
        f"disk {machine['disk']}",
        f"- Disk: {median(syncs):,.0f} times a second 4 KiB written and fdatasync ({min(syncs):,}–{max(syncs):,})",
        f"- {figures['rounds']} rounds, {figures['secondsEach']} s each; all servers up, all but one paused; medians\n",
        "## What is compared\n",
        table(["server", "version", "setting", "what a confirmation means"],
              [[name, version, *figures["settings"][name]] for name, version in figures["versions"].items()])]
    if figures["order"]:
        parts += ["Seen with strace, one publish at a time:\n", table(
            ["system", "confirmations", "left after a sync", "call"],
            [[name, str(order[0]), str(order[1]), order[2]] for name, order in figures["order"].items()])]
    rows = goals(figures)
    if rows:
        parts += ["## Goals\n", "Medians over the rounds of the ratio in one round, native protocol, against the best peer that syncs "
                  "before it confirms.\n", table(["goal", "found", "", ""], rows)]
    parts.append("## Figures\n")
    parts += [group_tables(figures, group) for group in GROUPS if group in figures["runs"]]
    if figures["backlog"]:
        parts += ["### W4: a deep backlog\n", backlog_table(figures),
                  "¹ Peers are filled without syncs, then restarted in the strict mode. ² From the start of the process to the "
                  "first delivery.\n"]
    for part, title in (("fairness", "Fairness"), ("runtime", "Client and worker runtime")):
        if figures[part].get("rows"):
            parts += [f"### {title}\n", table(figures[part]["head"], figures[part]["rows"])]
    return "\n".join(parts)
