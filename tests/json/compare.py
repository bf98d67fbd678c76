#!/usr/bin/env python3
"""Compares asyncrt.json with Python's json.

Random values are written in random spellings, and then some are damaged. Both
accept the same texts, and then have the same values. Where they are known to
differ, it is said below.
"""

import argparse
import json
import math
import random
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
DEPTH = 128  # of asyncrt.json


class Refused(ValueError):
    """Python accepts it, and asyncrt does not."""


def refuse_constant(name):  # NaN, Infinity
    raise Refused(name)


def check_integer(text):
    value = int(text)
    if not -2**63 <= value < 2**63:
        raise Refused("beyond 64 bits")
    return value


def check_float(text):
    value = float(text)
    if math.isinf(value):
        raise Refused("beyond a double")
    return value


def check_object(pairs):
    for key, value in pairs:
        if "\0" in key:
            raise Refused("a zero byte in a key")
        check_rest(value)  # before a repeated key hides it
    return dict(pairs)


def check_rest(value, depth=0):
    """Lone surrogates, and what nests too deep."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise Refused("half of a pair") from error
    elif isinstance(value, (list, dict)):
        if depth == DEPTH:
            raise Refused("too deep")
        items = value
        if isinstance(value, dict):
            items = [*value.keys(), *value.values()]
        for item in items:
            check_rest(item, depth + 1)


def expected(text):
    """The value, in a list; None where it is refused."""
    try:
        value = json.loads(text.decode("utf-8-sig"),
                           parse_constant=refuse_constant,
                           parse_int=check_integer, parse_float=check_float,
                           object_pairs_hook=check_object)
        check_rest(value)
        return [value]
    except (ValueError, RecursionError):
        return None


def same(a, b):
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


class Maker:
    """Texts of JSON, most of them good."""

    PIECES = ["{", "}", "[", "]", ",", ":", '"', "\\", "\\u", "d800", "-", "e",
              ".", "0", "1", "null", "true", "NaN", " ", "\n", "\0", "é", "\x7f"]

    def __init__(self, seed):
        self.random = random.Random(seed)

    def space(self):
        return self.random.choice(["", "", "", " ", "\n\t", "\r"])

    def string(self):
        r, out = self.random, []
        for _ in range(r.choice([0, 1, 3, 10])):
            kind = r.randrange(5)
            if kind == 0:
                out.append(r.choice(['\\"', "\\\\", "\\/", "\\b", "\\f", "\\n",
                                     "\\r", "\\t"]))
            elif kind == 1:
                out.append(f"\\u{r.randrange(0x10000):04{r.choice('xX')}}")
            elif kind == 2:
                out.append(f"\\ud8{r.randrange(256):02x}"
                           f"\\udc{r.randrange(256):02x}")
            elif kind == 3:
                out.append(chr(r.choice([0x20, 0x7f, 0xe9, 0x20ac, 0x1f600,
                                         0x10ffff, 0x800, 0xfffe])))
            else:
                out.append(r.choice("abc,:{}[]"))
        return '"' + "".join(out) + '"'

    def number(self):
        r = self.random
        text = r.choice(["", "-"]) + r.choice(
            ["0", str(r.randrange(1, 10)), str(r.randrange(1, 10**r.choice(
                [3, 10, 18, 20])))])
        if r.random() < 0.4:
            text += "." + "".join(r.choices("0123456789", k=r.choice(
                [1, 3, 18])))
        if r.random() < 0.3:
            text += r.choice("eE") + r.choice(["", "+", "-"]) + str(
                r.randrange(r.choice([4, 30, 330])))
        return text

    def value(self, depth=0):
        r = self.random
        kind = r.randrange(4 if depth > 5 else 7)
        if kind == 0:
            text = r.choice(["null", "true", "false"])
        elif kind in (1, 2):
            text = self.number()
        elif kind == 3:
            text = self.string()
        elif kind == 4:
            text = "[" + ",".join(self.value(depth + 1) for _ in range(
                r.randrange(5))) + "]"
        else:
            text = "{" + ",".join(
                f"{self.space()}{self.string()}{self.space()}:"
                f"{self.value(depth + 1)}" for _ in range(r.randrange(5))) + "}"
        return self.space() + text + self.space()

    def text(self):
        r = self.random
        data = bytearray(self.value().encode())
        if r.random() < 0.02:
            data = bytearray(b"[" * r.randrange(120, 136))
            data += b"]" * len(data)
        for _ in range(r.choice([0, 0, 0, 1, 1, 2])):
            at = r.randrange(len(data) + 1)
            change = r.randrange(4)
            if change == 0:
                data[at:at + 1] = b""
            elif change == 1:
                data[at:at + 1] = bytes([r.randrange(256)])
            elif change == 2:
                data[at:at] = r.choice(self.PIECES).encode()
            else:
                del data[at:]
        return bytes(data)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--asyncrt", required=True)
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    maker = Maker(options.seed)
    texts = [maker.text() for _ in range(options.count)]
    done = subprocess.run([options.asyncrt, ROOT / "decode.lua"], check=True,
                          input="".join(text.hex() + "\n" for text in texts),
                          text=True, capture_output=True)
    answers = done.stdout.splitlines()
    failures = int(len(answers) != len(texts))
    accepted = 0
    for text, answer in zip(texts, answers):
        want = expected(text)
        got = None if answer[:1] == "E" else [json.loads(bytes.fromhex(answer))]
        accepted += got is not None
        if (want is None) != (got is None) or (
                want is not None and not same(want, got)):
            failures += 1
            print(f"{text!r}\n  Python: {want}\n  asyncrt: {got or answer}")
    print(f"{len(answers)} texts, {accepted} accepted, {failures} differ")
    return 1 if failures or not 0 < accepted < len(texts) else 0


if __name__ == "__main__":
    sys.exit(main())
