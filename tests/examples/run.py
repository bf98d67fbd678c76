#!/usr/bin/env python3
"""Runs the tests of an example, test_NAME.py, against a build of asyncrt."""

import argparse
import importlib
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True  # nothing is left in the tree
import example  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--asyncrt", required=True, type=Path)
    parser.add_argument("--sanitizer", default="",
                        help="what the build was instrumented with, if any")
    parser.add_argument("-k", action="append", metavar="PATTERN",
                        help="run only the tests that match")
    parser.add_argument("file", type=Path)
    options = parser.parse_args()

    example.asyncrt = str(options.asyncrt.resolve())
    example.sanitized = options.sanitizer != ""
    loader = unittest.TestLoader()
    loader.testNamePatterns = [f"*{part}*" for part in options.k or []] or None
    module = importlib.import_module(options.file.stem)
    result = unittest.TextTestRunner(verbosity=2).run(
        loader.loadTestsFromModule(module))
    if not result.wasSuccessful() or result.testsRun == 0:
        return 1
    return 77 if len(result.skipped) == result.testsRun else 0


if __name__ == "__main__":
    sys.exit(main())
