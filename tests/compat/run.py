#!/usr/bin/env python3
"""Runs a program by lua5.4 and by asyncrt; what comes out must be the same.

That is stdout, stderr and the exit status, each program told by its name. It is
run as a script, under --virtual-time, as the body of a task, and as a coroutine
in a task; the last is compared with a coroutine of lua5.4. Lines of the program
say what else there is:

    -- lua: -W               options of lua5.4
    -- arguments: a "b c"    the arguments
    -- each of: one two      run once for each of these, as the only argument
    -- script only: reason   not as a task, nor as a coroutine
    -- real time only: reason
"""

import argparse
import difflib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

LIMIT = 60  # seconds
INPUT = b"first line\n42 the rest\nlast line"
FOLDER = Path(__file__).parent
SETTINGS = {
    # name: options of asyncrt, wrapper for asyncrt, wrapper for lua5.4
    "script": ([], None, None),
    "virtual time": (["--virtual-time", "--seed=1"], None, None),
    "task": ([], "task.lua", None),
    "coroutine": ([], "coroutine.lua", "coroutine.lua"),
}


def line(source, name):
    match = re.search(rf"^-- {name}: (.*)$", source, re.M)
    return match and match.group(1)


def run(command):
    """Returns stdout, stderr and the exit status, as lists of lines."""
    environment = {k: v for k, v in os.environ.items()
                   if not k.startswith("LUA_")}
    # os.exit frees nothing.
    environment["ASAN_OPTIONS"] = ":".join(filter(None, (
        environment.get("ASAN_OPTIONS"), "detect_leaks=0")))
    try:
        done = subprocess.run(command, input=INPUT, capture_output=True,
                              timeout=LIMIT, env=environment)
    except subprocess.TimeoutExpired:
        return [["no end in time"]]

    def lines(output):
        text = output.decode("latin-1")
        text = re.sub(r"0x[0-9a-f]{6,}", "ADDRESS", text)
        return re.sub(r"^(lua5\.4|asyncrt): ", "PROGRAM: ", text,
                      flags=re.M).splitlines()

    return [lines(done.stdout), lines(done.stderr), [str(done.returncode)]]


def command(interpreter, options, wrapper, program, arguments):
    wrappers = [str(FOLDER / "wrappers" / wrapper)] if wrapper else []
    return [interpreter, *options, *wrappers, str(program), *arguments]


def settings(source):
    for name, setting in SETTINGS.items():
        if setting[1] and line(source, "script only"):
            continue
        if name == "virtual time" and line(source, "real time only"):
            continue
        yield name, setting


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--asyncrt", required=True)
    parser.add_argument("--lua", default="lua5.4")
    parser.add_argument("program", type=Path)
    options = parser.parse_args()

    source = options.program.read_text()
    lua_options = shlex.split(line(source, "lua") or "")
    cases = [shlex.split(line(source, "arguments") or "")]
    if line(source, "each of"):
        cases = [[case] for case in shlex.split(line(source, "each of"))]

    failed = passed = 0
    for arguments in cases:
        for name, (run_options, inner, outer) in settings(source):
            expected = run(command(options.lua, lua_options, outer,
                                   options.program, arguments))
            actual = run(command(options.asyncrt,
                                 ["--watch-ms=0", *run_options], inner,
                                 options.program, arguments))
            if actual == expected:
                passed += 1
                continue
            failed += 1
            print(f"FAILED as {name}: {shlex.join(arguments)}")
            for what, a, b in zip(("stdout", "stderr", "status"), expected,
                                  actual):
                print(*difflib.unified_diff(a, b, f"{what} of lua5.4",
                                            f"{what} of asyncrt", lineterm=""),
                      sep="\n")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
