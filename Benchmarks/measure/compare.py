"""Runs the comparison: brokerd beside its peers, on loopback, each in the mode that syncs before it confirms.

QUICK=1 tries the script itself: one short round whose figures mean nothing, written nowhere."""

import json
import os
import resource
import signal
import sys
import time

import fairness
import report
import runtime
import trace
from load import System, syncs_per_second
from servers import (ROOT, SCRATCH, AnswerOnly, Beanstalkd, Brokerd, JetStream, RabbitMQ, Redis, machine)
from workloads import COUNTED, GROUPS, backlog, is_for

QUICK = os.environ.get("QUICK") == "1"
ROUNDS = int(os.environ.get("ROUNDS", "1" if QUICK else "3"))
SECONDS = float(os.environ.get("SECONDS_EACH", "0.3" if QUICK else "1.5"))
MINUTES_MAX = float(os.environ.get("MINUTES_MAX", "6" if QUICK else "50"))
BACKLOG = 20_000 if QUICK else 1_000_000
# Parts to run, such as PARTS=trace,W1,W4; all by default.
PARTS = set(os.environ.get("PARTS", "trace,W1,W2,W3,W5,W4,fairness,runtime").split(","))


def say(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


class Comparison:
    def __init__(self):
        brokerd, redis, beanstalkd, nats, rabbitmq = Brokerd(), Redis(), Beanstalkd(), JetStream(), RabbitMQ()
        self.answers = {"native": AnswerOnly("native"), "redis-list": AnswerOnly("redis-list")}
        self.servers = [brokerd, redis, beanstalkd, nats, rabbitmq]
        at_most_once = dict(delivery="at most once", fans_out=False)
        self.systems = [
            System("brokerd", brokerd, "native"),
            System("brokerd, Redis list", brokerd, "redis-list", brokerd.redis_port, **at_most_once),
            System("brokerd, Redis stream", brokerd, "redis-stream", brokerd.redis_port),
            System("Redis list", redis, "redis-list", **at_most_once),
            System("Redis stream", redis, "redis-stream"),
            System("beanstalkd", beanstalkd, "beanstalkd", fans_out=False),
            System("JetStream", nats, "jetstream"),
            System("RabbitMQ quorum", rabbitmq, "amqp-quorum"),
            System("RabbitMQ classic", rabbitmq, "amqp-classic"),
        ]
        wanted = os.environ.get("SYSTEMS")
        if wanted:
            self.systems = [system for system in self.systems if any(w in system.name for w in wanted.split(","))]
            self.servers = [server for server in self.servers if any(s.server is server for s in self.systems)]
        self.count = 0
        self.deadline = time.monotonic() + MINUTES_MAX * 60
        # What stands in the results; a value for each round.
        self.figures = {
            "machine": machine(), "rounds": ROUNDS, "secondsEach": SECONDS, "date": time.strftime("%Y-%m-%d"),
            "versions": {server.name: server.version() for server in self.servers},
            "systems": {s.name: {"delivery": s.delivery, "server": s.server.name} for s in self.systems},
            "settings": {server.name: [server.settings, server.guarantee] for server in self.servers},
            "order": {}, "syncs": [], "fsyncs": {}, "runs": {}, "answers": {}, "backlog": {}, "fairness": {},
            "runtime": {}}

    @property
    def is_late(self):
        return time.monotonic() > self.deadline

    def trace(self):
        for server in self.servers:
            systems = [system for system in self.systems if system.server is server]
            for system in systems:
                order = trace.sync_order(system)
                say(f"{system.name}: {order[1]} of {order[0]} confirmations after a sync ({order[2]})")
                self.figures["order"][system.name] = order
            for (system, workload), count in trace.sync_counts(systems, COUNTED, min(SECONDS, 0.5)).items():
                self.figures["fsyncs"].setdefault(workload, {})[system] = count

    def round(self, number):
        """All servers are up and paused but the one that is measured."""
        try:
            for server in [*self.servers, *self.answers.values()]:
                server.wipe()
                server.start()
                server.pause()
            for system in self.systems:
                # What a server does once, such as filling its first files, is nobody's figure.
                self.measured(system, f"warm{number}", dict(producers=4, window=128))
            for group, (_, workloads) in GROUPS.items():
                for name, options in workloads.items() if group in PARTS else ():
                    if self.is_late:
                        say("the time is over; the rest is left out")
                        return
                    self.workload(number, group, name, options)
        finally:
            for server in [*self.servers, *self.answers.values()]:
                server.stop()
                server.wipe()

    def workload(self, number, group, name, options):
        rate = syncs_per_second(SCRATCH, 0.5)
        self.count += 1
        label = f"r{self.count}"
        self.figures["syncs"].append(rate)
        line = []
        if group == "W1":
            for protocol, server in self.answers.items():
                system = System(server.name, server, protocol)
                result = self.measured(system, label, options | {"unchecked": True})
                self.figures["answers"].setdefault(name, {}).setdefault(protocol, []).append(result)
                line.append(f"answer-only {protocol} {short(result, group)}")
        # Another order each round: what comes after a heavy writer has no fixed victim.
        shift = number * len(self.systems) // ROUNDS
        for system in self.systems[shift:] + self.systems[:shift]:
            if is_for(system, options):
                result = self.measured(system, label, options)
                result["syncsPerSecond"] = rate
                self.figures["runs"].setdefault(group, {}).setdefault(name, {}).setdefault(
                    system.name, []).append(result)
                line.append(f"{system.name} {short(result, group)}")
        say(f"round {number + 1}, {group} {name}, {rate} syncs/s: " + "; ".join(line))

    def measured(self, system, label, options):
        system.server.resume()
        time.sleep(0.1)
        try:
            return system.load(label, SECONDS, **options)
        finally:
            system.server.pause()

    def backlogs(self):
        for system in self.systems:
            if system.name.startswith("brokerd,"):
                continue  # the same log
            if self.is_late:
                say("the time is over; the rest is left out")
                return
            result = backlog(system, BACKLOG, 6 if QUICK else 60, 3 if QUICK else 20)
            self.figures["backlog"][system.name] = result
            say(f"W4 {system.name}: " + ", ".join(
                f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in result.items()))

    def run(self):
        SCRATCH.mkdir(parents=True, exist_ok=True)
        say("; ".join(f"{name} {version}" for name, version in self.figures["versions"].items()))
        try:
            if "trace" in PARTS:
                self.trace()
            for number in range(ROUNDS):
                if PARTS & set(GROUPS):
                    self.round(number)
            if "W4" in PARTS:
                self.backlogs()
            if "fairness" in PARTS and not self.is_late:
                self.figures["fairness"] = fairness.measure(SECONDS, ROUNDS, say)
            if "runtime" in PARTS and not self.is_late:
                self.figures["runtime"] = runtime.measure(QUICK, say)
        finally:
            for server in [*self.servers, *self.answers.values()]:
                server.stop()
                server.wipe()
        return self.figures


def short(result, group):
    if "error" in result:
        return result["error"]
    if group == "W3":
        latency = result.get("delivery") or result.get("confirm")
        return f"p99 {latency['p99'] / 1000:.2f} ms" if latency else "nothing confirmed"
    return f"{result['perSecond']:,.0f}/s"


def main():
    def ended(number, frame):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, ended)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        figures = Comparison().run()
    except KeyboardInterrupt:
        print("\ninterrupted; everything is stopped", file=sys.stderr)
        return 130
    (SCRATCH / "figures.json").write_text(json.dumps(figures, indent=1))
    text = report.text(figures)
    print(text)
    if QUICK or os.environ.get("PARTS") or os.environ.get("SYSTEMS"):
        say("a part, or a try: Benchmarks/RESULTS.md is left as it was")
    else:
        (ROOT / "Benchmarks" / "RESULTS.md").write_text(text)
        say("written: Benchmarks/RESULTS.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
