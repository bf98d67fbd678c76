#!/usr/bin/env python3
"""Compares the HTTP parser with h11 and llhttp on every case, and on cases that
were changed at random.

A case on which they differ must be told and argued in differences.txt, and one
that stands there must differ. A changed case must not be accepted as other
messages than another parser accepts; that it rejects more is its purpose.
"""

import argparse
import fnmatch
import random
import re
import subprocess
import sys
from pathlib import Path

try:
    import h11
except ImportError:
    h11 = None

SKIPPED = 77
FOLDER = Path(__file__).parent
ESCAPE = re.compile(r"\\(?:\{(\d+) ([^}]*)\}|x([0-9a-f]{2})|(.))")
LETTERS = {"r": "\r", "n": "\n", "t": "\t"}
PIECES = [b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b",", b";", b"\0", b"0",
          b"\x80", b"chunked", b"Content-Length: 1\r\n", b"Host: b\r\n",
          b"Transfer-Encoding: chunked\r\n", b"HTTP/1.1", b"HTTP/1.0",
          b"Connection: close\r\n", b"\r\n\r\n", b"-", b"+", b"x"]


def unescape(text):
    def replace(match):
        count, repeated, digits, letter = match.groups()
        if count:
            return repeated * int(count)
        return chr(int(digits, 16)) if digits else LETTERS.get(letter, letter)
    return ESCAPE.sub(replace, text).encode("latin-1")


def read_cases():
    """Triples of name, kind and input; those with limits of their own are
    nothing to compare."""
    for path in sorted(FOLDER.glob("cases/*.txt")):
        for block in path.read_text().strip().split("\n\n"):
            name, kind, *lines = block.split("\n")
            data = b"".join(unescape(line[2:]) for line in lines
                            if line.startswith("> "))
            if "=" not in kind and path.stem != "limits":
                yield f"{path.stem}: {name[2:]}", kind, data


# --- The parsers: each gives the messages it accepted and whether that is all ---


class Program:
    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)

    def lines(self, kind, data):
        self.process.stdin.write(f"{kind} {len(data)}\n".encode() + data)
        self.process.stdin.flush()
        lines = []
        for line in self.process.stdout:
            if line == b".\n":
                return lines
            lines.append(line.decode("latin-1").rstrip("\n"))
        sys.exit(f"{self.process.args} died of {kind} {data}")


class Own(Program):
    def parse(self, kind, data):
        messages, body, start, good = [], b"", None, True
        for line in self.lines(kind, data):
            if line.startswith("body "):
                body = unescape(line[5:])
            elif line.startswith("end at"):
                messages.append((start, body))
                body = b""
            elif re.match(r"\d{3} [A-Z_]+ at \d+$", line):
                good = False
            elif not line.startswith(("field ", "trailer ")):
                words = line.split(" ")
                start = words[:1] if kind != "request" else words[:2]
                start = unescape(" ".join(start)).decode("latin-1")
        return messages, good


class Llhttp(Program):
    def parse(self, kind, data):
        messages, good = [], True
        for line in self.lines(kind, data):
            if line == "rejected":
                good = False
            else:
                start, _, body = line.rpartition(" ")
                messages.append((start, bytes.fromhex(body)))
        return messages, good


class H11:
    def parse(self, kind, data):
        role = h11.SERVER if kind == "request" else h11.CLIENT
        connection = h11.Connection(role, max_incomplete_event_size=1 << 20)
        if kind != "request":
            method = "GET" if kind == "response" else kind.split()[-1]
            self.ask(connection, method)
        messages, start, body = [], None, b""
        connection.receive_data(data)
        at_end = False
        try:
            while True:
                event = connection.next_event()
                if event is h11.PAUSED:  # another protocol follows
                    if start:
                        messages.append((start, body))
                    return messages, True
                if event is h11.NEED_DATA:
                    if at_end:
                        return messages, False
                    at_end = True
                    connection.receive_data(b"")
                elif isinstance(event, h11.Request):
                    start = (event.method + b" " + event.target).decode("latin-1")
                    body = b""
                elif isinstance(event, h11.InformationalResponse):
                    messages.append((str(event.status_code), b""))
                    if event.status_code == 101:
                        return messages, True
                elif isinstance(event, h11.Response):
                    start, body = str(event.status_code), b""
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    messages.append((start, body))
                    start = None
                    if not self.go_on(connection, kind):
                        return messages, True
                elif isinstance(event, h11.ConnectionClosed):
                    return messages, True
        except h11.RemoteProtocolError:
            return messages, False

    @staticmethod
    def ask(connection, method):
        target = "a:1" if method == "CONNECT" else "/"
        connection.send(h11.Request(method=method, target=target,
                                    headers=[("Host", "a")]))
        connection.send(h11.EndOfMessage())

    def go_on(self, connection, kind):
        """Answers a request, so that the next may come."""
        if kind == "request":
            if connection.our_state is not h11.SEND_RESPONSE or \
                    connection.their_state is h11.MIGHT_SWITCH_PROTOCOL:
                return False
            connection.send(h11.Response(status_code=204, headers=[]))
            connection.send(h11.EndOfMessage())
        if connection.our_state is not h11.DONE or \
                connection.their_state is not h11.DONE:
            return False
        if not connection.trailing_data[0]:
            return False
        connection.start_next_cycle()
        if kind != "request":
            self.ask(connection, "GET" if kind == "response"
                     else kind.split()[-1])
        return True


# --- Comparing ---


class Told:
    """The rules of differences.txt."""

    def __init__(self):
        self.rules = []
        for line in (FOLDER / "differences.txt").read_text().splitlines():
            if line and not line.startswith("#"):
                who, name, reason = line.split(" | ")
                label, verb = who.split()
                self.rules.append([label, verb, name, 0])

    def knows(self, label, verb, name):
        known = False
        for rule in self.rules:
            if rule[0] in (label, "both") and rule[1] == verb and \
                    fnmatch.fnmatchcase(name, rule[2]):
                rule[3] += 1
                known = True
        return known

    def unused(self, labels):
        for label, verb, name, uses in self.rules:
            if not uses and (label in labels or len(labels) == 2):
                yield f"differences.txt: {label} {verb} | {name}: not so"


def difference(own, other):
    """What the other parser does, where that is not the same."""
    if own[1] != other[1]:
        return "accepts" if other[1] else "rejects"
    return "reads" if own[0] != other[0] else None


def compare_cases(own, others):
    told, problems = Told(), []
    for name, kind, data in read_cases():
        mine = own.parse(kind, data)
        for label, other in others.items():
            theirs = other.parse(kind, data)
            verb = difference(mine, theirs)
            if verb and not told.knows(label, verb, name):
                problems.append(f"{label} {verb} | {name}\n    own {mine}\n"
                                f"    {label} {theirs}")
    return problems + list(told.unused(others))


def change(data, source):
    at = source.randrange(len(data) + 1)
    if source.random() < 0.3:
        return data[:at] + data[at + source.choice([1, 1, 2, 5]):]
    cut = source.choice([0, 0, 1])
    return data[:at] + source.choice(PIECES) + data[at + cut:]


def compare_changed(own, others, rounds):
    source, problems, agreed = random.Random(1), [], 0
    cases = [case for case in read_cases() if 0 < len(case[2]) < 1000]
    for _ in range(rounds):
        name, kind, data = source.choice(cases)
        for _ in range(source.choice([1, 1, 2, 3])):
            data = change(data, source)
        mine = own.parse(kind, data)
        if not mine[1]:
            continue
        for label, other in others.items():
            theirs = other.parse(kind, data)
            if not theirs[1]:
                continue
            agreed += 1
            if mine[0] != theirs[0]:
                problems.append(f"{label} | {name}, changed | {kind} {data}\n"
                                f"    own {mine}\n    {label} {theirs}")
    print(f"{agreed} changed inputs accepted by two")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--own", required=True)
    parser.add_argument("--llhttp", help="the program print_llhttp, if built")
    parser.add_argument("--rounds", type=int, default=20000)
    options = parser.parse_args()

    own, others = Own(options.own), {}
    if h11:
        others["h11"] = H11()
    else:
        print("h11 is missing: install python3-h11")
    if options.llhttp:
        others["llhttp"] = Llhttp(options.llhttp)
    else:
        print("llhttp is missing: install node-llhttp")
    problems = compare_cases(own, others)
    problems += compare_changed(own, others, options.rounds)
    print("".join(problem + "\n" for problem in problems), end="")
    print(f"compared with {', '.join(others) or 'nothing'}: "
          f"{len(problems)} differences that are not told")
    if problems:
        return 1
    return 0 if len(others) == 2 else SKIPPED


if __name__ == "__main__":
    sys.exit(main())
