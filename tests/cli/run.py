#!/usr/bin/env python3
"""Runs one case of the command line and compares what comes out.

A case is a txtar archive: lines that say what it is about, then files, each
after a line `-- NAME --`. They are unpacked into an empty folder, where `cmd`
is run by sh with `asyncrt` on its path. Files with a meaning of their own:

    cmd     the shell command
    stdin   its standard input
    stdout  what must be printed, exactly; nothing unless given
    stderr  the same for standard error
    status  the exit status, 0 unless given

In stdout and stderr {{…}} is a regular expression within a line, and a line
`...` stands for any number of lines.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

LIMIT = 60  # seconds


def unpack(archive):
    parts = re.split(r"^-- (\S+) --\n", archive, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def pattern(text):
    """The regular expression for an expected output."""
    lines = []
    for line in text.splitlines(keepends=True):
        if line == "...\n":
            lines.append(r"(?:.*\n)*?")
            continue
        pieces = re.split(r"\{\{(.*?)\}\}", line)
        pieces[0::2] = map(re.escape, pieces[0::2])
        pieces[1::2] = (f"(?:{piece})" for piece in pieces[1::2])
        lines.append("".join(pieces))
    return "".join(lines)


def run(files, folder, path):
    """Returns stdout, stderr and the exit status, None after the limit."""
    for name, content in files.items():
        if name not in ("cmd", "stdin", "stdout", "stderr", "status"):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)
            target.chmod(0o755)
    environment = {k: v for k, v in os.environ.items()
                   if not k.startswith("LUA_")}
    environment["PATH"] = f"{path}{os.pathsep}{os.environ['PATH']}"
    process = subprocess.Popen(["sh", "-c", files["cmd"]], cwd=folder,
                               env=environment, start_new_session=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True,
                               errors="replace")
    try:
        out, err = process.communicate(files.get("stdin", ""), LIMIT)
        return out, err, process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        return out, err, None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--asyncrt", required=True, type=Path)
    parser.add_argument("case", type=Path)
    options = parser.parse_args()

    files = unpack(options.case.read_text())
    with tempfile.TemporaryDirectory() as folder:
        out, err, status = run(files, Path(folder),
                               options.asyncrt.resolve().parent)

    failed = False
    for name, actual in (("stdout", out), ("stderr", err)):
        expected = files.get(name, "")
        if not re.fullmatch(pattern(expected), actual):
            failed = True
            print(f"--- expected {name}\n{expected}", end="")
            print(f"--- actual {name}\n{actual}", end="")
    expected = int(files.get("status", "0"))
    if status != expected:
        failed = True
        ended = "no end in time" if status is None else f"status {status}"
        print(f"--- {ended}, expected {expected}")
        print(f"--- actual stderr\n{err}", end="")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
