#!/usr/bin/env python3
"""Runs property tests under many seeds, and says which seed fails.

Every other seed runs with --random-order. With --twice each is run twice, and
the trace hashes must be equal; the second run has a collector that never
pauses.

    tests/property/run.py --asyncrt build/release/asyncrt --seeds 10000 --twice
"""

import argparse
import concurrent.futures
import os
import shlex
import subprocess
import sys
from pathlib import Path

PROGRAMS = Path(__file__).parent
HOSTILE = "collectgarbage('setpause', 0) collectgarbage('setstepmul', 1000)"


def command(options, program, seed, more=()):
    order = ["--random-order"] if seed % 2 == 0 else []
    return (options.asyncrt + ["--virtual-time", f"--seed={seed}"] + order
            + list(more) + [str(program)])


def run(options, line):
    """Returns the exit status, None after the limit, and the standard error."""
    try:
        done = subprocess.run(line, stdin=subprocess.DEVNULL, text=True,
                              errors="replace", timeout=options.limit,
                              capture_output=True)
        return done.returncode, done.stderr + done.stdout
    except subprocess.TimeoutExpired as late:
        return None, (late.stderr or b"").decode(errors="replace")


def complaint(options, program, seed):
    """What is wrong with a seed, or None."""
    line = command(options, program, seed)
    if not options.twice:
        status, text = run(options, line)
        if status == 0 and text == "":
            return None
        return f"FAILED {shlex.join(line)}\nexit status {status}\n{text}"
    first = run(options, command(options, program, seed, ["--trace-hash"]))
    second = run(options, command(options, program, seed,
                                  ["--trace-hash", "-e", HOSTILE]))
    if first[0] != 0:
        return f"FAILED {shlex.join(line)}\nexit status {first[0]}\n{first[1]}"
    if first != second:
        return (f"DIFFERS {shlex.join(line)}\n"
                f"{first[1]}{second[1]}exit status {second[0]}")
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--asyncrt", required=True, type=shlex.split,
                        help="the command, and what it is to be run by")
    parser.add_argument("--seeds", type=int, default=10000)
    parser.add_argument("--first", type=int, default=1, metavar="SEED")
    parser.add_argument("--twice", action="store_true",
                        help="compare the trace hashes of two runs")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--limit", type=float, default=120, metavar="SECONDS")
    parser.add_argument("programs", nargs="*", type=Path,
                        default=[PROGRAMS / "chaos.lua"])
    options = parser.parse_args()

    seeds = range(options.first, options.first + options.seeds)
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for program in options.programs:
            for found in pool.map(
                    lambda seed: complaint(options, program, seed), seeds):
                if found:
                    failed += 1
                    print(found, flush=True)
                else:
                    passed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
