#!/usr/bin/env python3
"""Runs conformance programs under several seeds and compares what they print.

The blocks at the end of a program say what must come out:

    --[[ stdout          the exact output, after tabs are replaced by spaces
    --[[ stderr contains words that stand on stderr, one a line, in any case
    --[[ exit N ]]       the exit status, 0 unless given
"""

import argparse
import difflib
import re
import shlex
import subprocess
import sys
from pathlib import Path


def block(source, name):
    match = re.search(r"^--\[\[ " + name + r"\n(.*?)^\]\]", source, re.M | re.S)
    return match and match.group(1)


def expectation(path):
    source = path.read_text()
    stdout = block(source, "stdout")
    if stdout is None:
        sys.exit(f"{path}: no block of expected output")
    status = re.search(r"^--\[\[ exit (\d+) \]\]", source, re.M)
    words = block(source, "stderr contains") or ""
    return stdout, words.splitlines(), int(status.group(1)) if status else 0


def run(command, limit):
    """Returns stdout, stderr and the exit status, None after `limit` s."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, timeout=limit,
                              capture_output=True)
        return done.stdout, done.stderr, done.returncode
    except subprocess.TimeoutExpired as late:
        return late.stdout or b"", late.stderr or b"", None


def complaints(expected, actual):
    stdout, words, status = expected
    out, err, actual_status = actual
    out = out.decode(errors="replace").replace("\t", " ")
    err = err.decode(errors="replace")
    if out != stdout:
        yield from difflib.unified_diff(stdout.splitlines(), out.splitlines(),
                                        "expected", "stdout", lineterm="")
    for word in words:
        if word.lower() not in err.lower():
            yield f"stderr does not contain: {word}"
    if actual_status is None:
        yield "it did not end in time"
    elif actual_status != status:
        yield f"exit status {actual_status}, expected {status}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--asyncrt", required=True, type=shlex.split,
                        help="the command, and what it is to be run by")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--limit", type=float, default=20, metavar="SECONDS")
    parser.add_argument("programs", nargs="+", type=Path)
    options = parser.parse_args()

    failed = 0
    for program in options.programs:
        expected = expectation(program)
        for seed in range(1, options.seeds + 1):
            command = options.asyncrt + ["--virtual-time", f"--seed={seed}",
                                         str(program)]
            actual = run(command, options.limit)
            found = list(complaints(expected, actual))
            if found:
                failed += 1
                print(f"FAILED {shlex.join(command)}")
                print("\n".join(found))
                print(f"--- its stderr\n{actual[1].decode(errors='replace')}")
                break
    print(f"{len(options.programs) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
