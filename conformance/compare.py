"""Compares brokerd's replies with Redis's. Started by scripts/redis-conformance."""

import argparse
import concurrent.futures as futures
import pathlib
import shutil
import sys
import time

import accepted
import sequence
import servers
import transcript
import wire

HERE = pathlib.Path(__file__).parent


def main():
    options = arguments()
    path = shutil.which(options.redis) or shutil.which("redis-check-rdb")
    if path is None:
        sys.exit(f"redis-conformance: no {options.redis}; scripts/setup installs it")
    left = right = servers.redis(path)
    if not options.self:
        brokerd = shutil.which(pathlib.Path(options.brokerd).resolve())
        if brokerd is None:
            sys.exit(f"redis-conformance: no program {options.brokerd}; make build makes it, --brokerd PATH names another")
        right = servers.brokerd(brokerd)
    chosen = sequences(options.names)
    if not chosen:
        sys.exit("redis-conformance: no sequence has such a name")
    allowed = accepted.Accepted(HERE / "accepted.txt")
    started = time.monotonic()
    counts = {"replies": 0, "accepted": 0, "differences": 0}
    with futures.ThreadPoolExecutor(options.jobs) as pool:
        for each, transcripts in zip(chosen, pool.map(lambda each: play(each, left, right), chosen)):
            compare(each, transcripts, allowed, options, counts)
    stale = [] if options.self else allowed.unused({each.name for each in chosen})
    for number, name, statement in stale:
        print(f"accepted.txt:{number}: no such difference any more: {name} | {statement}")
    seconds = time.monotonic() - started
    print(
        f"{len(chosen)} sequences, {counts['replies']} replies: {counts['differences']} differences, "
        f"{counts['accepted']} accepted, {len(stale)} stale entries ({seconds:.0f} s)"
    )
    sys.exit(1 if counts["differences"] or stale else 0)


def arguments():
    parser = argparse.ArgumentParser(prog="redis-conformance", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="a sequence `file/name`, or all of a `file`")
    parser.add_argument("--brokerd", default=".build/release/brokerd", metavar="PATH", help="default: %(default)s")
    parser.add_argument("--redis", default="redis-server", metavar="PATH", help="default: %(default)s")
    parser.add_argument("--jobs", type=int, default=4, metavar="N", help="sequences at once; default: %(default)s")
    parser.add_argument("--self", action="store_true", help="compare Redis with itself: the sequences must be stable")
    parser.add_argument("--show", action="store_true", help="print Redis's replies, too")
    parser.add_argument("--suggest", action="store_true", help="print differences as lines for accepted.txt")
    return parser.parse_args()


def sequences(names):
    every = [each for path in sorted((HERE / "sequences").glob("*.txt")) for each in sequence.read(path)]
    return [each for each in every if not names or each.name in names or each.name.split("/")[0] in names]


def run(each, start):
    with start() as server:
        try:
            lines = transcript.Run(server.port, each.version).run(each)
        except (OSError, ValueError, TimeoutError, wire.Closed) as error:
            sys.exit(f"{each.label}: {server.name}: {error!r}\n{server.output()}")
        if not server.is_running:
            sys.exit(f"{each.label}: {server.name} has ended\n{server.output()}")
        return lines


def play(each, left, right):
    with futures.ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda start: run(each, start), (left, right)))


def compare(each, transcripts, allowed, options, counts):
    if options.show:
        print(f"== {each.label}")
    for (statement, expected), (_, found) in zip(*transcripts):
        counts["replies"] += 1
        if options.show:
            print(f"{statement.line:4} {statement.text}\n     {expected}")
        if expected == found:
            continue
        if not options.self and allowed.allows(each.name, statement.text, found):
            counts["accepted"] += 1
            continue
        counts["differences"] += 1
        if options.suggest:
            print(f"{each.name} | {statement.text} | {found} | ")
        else:
            print(f"{each.label}, line {statement.line}: {statement.text}")
            print(f"    redis   {expected}\n    brokerd {found}")


if __name__ == "__main__":
    main()
