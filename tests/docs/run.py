#!/usr/bin/env python3
"""Runs the examples of Markdown files and compares what they print.

Every block that is fenced as ```lua is a whole script. It is run alone, as
`example.lua`, under --virtual-time --seed=1. After it, with nothing but empty
lines between, may stand what must come out:

    ```text          its standard output, exactly, after tabs became spaces
    ```text stderr   its standard error, where a line `...` stands for any lines

Words behind `lua` on the fence:

    exit=N    the exit status, 0 unless given
    test      run by `asyncrt test`
    norun     compiled, not run: it would wait for the world outside

A block that is fenced as ```c is a whole source file, and must compile. With
the word module=NAME it is a Lua module, for the examples after it.
"""

import argparse
import difflib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

LIMIT = 30  # seconds for one example
ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^( *)(```+)(.*)$")


class Block:
    """A fenced block, and whether only empty lines stand before it."""

    def __init__(self, words, line, follows):
        self.words, self.line, self.follows = words, line, follows
        self.lines = []

    @property
    def text(self):
        return "".join(line + "\n" for line in self.lines)


def blocks(markdown):
    block, fence, margin, between = None, "", 0, True
    for number, line in enumerate(markdown.splitlines(), 1):
        match = FENCE.match(line)
        if block is None and match:
            margin, fence = len(match.group(1)), match.group(2)
            block = Block(match.group(3).split(), number, not between)
        elif block is None:
            between = between or line.strip() != ""
        elif match and match.group(2) == fence and not match.group(3).strip():
            yield block
            block, between = None, False
        else:
            block.lines.append(line[margin:])
    if block is not None:
        sys.exit(f"line {block.line}: the fence is never closed")


def source(block, folder):
    """Compiles a block of C; what the compiler says, if it refuses."""
    module = next((word[len("module="):] for word in block.words
                   if word.startswith("module=")), None)
    flags = subprocess.run(["pkg-config", "--cflags", "lua5.4", "libuv"],
                           text=True, capture_output=True, check=True)
    output = Path(folder, f"{module}.so") if module else os.devnull
    done = subprocess.run(
        [os.environ.get("CC", "cc"), "-Wall", "-Wextra", "-Werror", "-fPIC",
         "-shared" if module else "-c", "-x", "c", "-", "-o", output,
         f"-I{ROOT}/runtime/include", *flags.stdout.split()],
        input=block.text, text=True, capture_output=True)
    return done.stderr if done.returncode != 0 else None


class Example:
    def __init__(self, script):
        self.line = script.line
        self.script = script.text
        self.stdout = self.stderr = None
        self.status, self.skip, self.command = 0, False, []
        for word in script.words[1:]:
            if word == "norun":
                self.skip = True
            elif word == "test":
                self.command = ["test"]
            elif re.fullmatch(r"exit=\d+", word):
                self.status = int(word[len("exit="):])
            else:
                sys.exit(f"line {script.line}: unknown word '{word}'")


def examples(markdown):
    """The blocks of C, and the examples in Lua with what they print."""
    example = None
    for block in blocks(markdown):
        kind = block.words[:1]
        if kind == ["lua"]:
            if example:
                yield example
            example = Example(block)
        elif kind == ["c"]:
            if example:
                yield example
            example = None
            yield block
        elif kind == ["text"] and example and block.follows:
            if block.words[1:] == ["stderr"]:
                example.stderr = block.text
            elif example.stdout is None:
                example.stdout = block.text
        else:
            if example:
                yield example
            example = None
    if example:
        yield example


def pattern(text):
    """The regular expression for an expected standard error."""
    return "".join(r"(?:.*\n)*?" if line == "...\n" else re.escape(line)
                   for line in text.splitlines(keepends=True))


class NotBuilt(Exception):
    """An example needs a component that the build has not."""


def complaints(example, asyncrt, modules, without):
    with tempfile.TemporaryDirectory() as folder:
        for module in Path(modules).iterdir():
            shutil.copy(module, folder)
        Path(folder, "example.lua").write_text(example.script)
        command = [asyncrt, *example.command, "--virtual-time", "--seed=1",
                   "example.lua"]
        if example.skip:
            command = [asyncrt, "-e", "assert(loadfile('example.lua'))"]
        try:
            done = subprocess.run(command, cwd=folder, timeout=LIMIT,
                                  stdin=subprocess.DEVNULL, text=True,
                                  errors="replace", capture_output=True)
        except subprocess.TimeoutExpired:
            yield f"it did not end within {LIMIT} s"
            return
    if without and "is not part of this build" in done.stderr:
        raise NotBuilt
    if done.returncode != example.status:
        yield f"exit status {done.returncode}, expected {example.status}"
        yield done.stderr
    elif example.stderr is not None:
        if not re.fullmatch(pattern(example.stderr), done.stderr):
            yield f"expected stderr:\n{example.stderr}"
            yield f"actual stderr:\n{done.stderr}"
    elif example.status == 0 and done.stderr != "":
        yield f"unexpected stderr:\n{done.stderr}"
    if example.stdout is not None:
        printed = done.stdout.replace("\t", " ")
        yield from difflib.unified_diff(
            example.stdout.splitlines(), printed.splitlines(),
            "expected", "stdout", lineterm="")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--asyncrt", required=True, type=Path)
    parser.add_argument("--without", nargs="*", default=[],
                        help="components that the build has not: examples "
                        "that need one are not run")
    parser.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args()

    passed = failed = skipped = 0
    for file in options.files:
        with tempfile.TemporaryDirectory() as modules:
            for example in examples(file.read_text()):
                if isinstance(example, Block):
                    message = source(example, modules)
                    found = [message] if message else []
                else:
                    try:
                        found = list(complaints(
                            example, options.asyncrt.resolve(), modules,
                            options.without))
                    except NotBuilt:
                        found, example.skip = [], True
                    skipped += example.skip and not found
                if found:
                    failed += 1
                    print(f"FAILED {file}:{example.line}", *found, sep="\n")
                else:
                    passed += not getattr(example, "skip", False)
    print(f"{passed} passed, {failed} failed, {skipped} not run")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
