"""Run CPython's tests with remote types in place of the local ones, and print the counts.

``python tests/stdlib/report.py [-v] [--limit SECONDS]``: -v prints what each listed test raised.
Tests that skip themselves (test_c_api wants a debug build of CPython) are not counted.
"""

from __future__ import annotations

import argparse
import sys
import time
import unittest

from stdlib_exceptions import EXCEPTIONS
from stdlib_suites import LIMIT, SUITES, Peer, run


def main() -> int:
    """Print a line for each suite, then the sum; 1 if a test that is not listed fails."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("-v", "--verbose", action="store_true")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds a test")
    options = parser.parse_args()
    total = passed = listed = wrong = 0
    with Peer() as peer:
        for suite in SUITES:
            good = skipped = 0
            begin = time.perf_counter()
            tests = suite.tests()
            for test in tests:
                name = f"{suite.name}.{test}"
                raised = run(peer, suite, test, options.limit)
                if isinstance(raised, unittest.SkipTest):
                    skipped += 1
                    continue
                good += raised is None
                listed += raised is not None and name in EXCEPTIONS
                if (raised is None) is (name in EXCEPTIONS):
                    wrong += 1
                    print(f"  {name}: {'passes, though listed' if raised is None else raised!r}")
                elif raised is not None and options.verbose:
                    print(f"  {name}: {EXCEPTIONS[name]}\n      {raised!r:.200}")
            seconds = time.perf_counter() - begin
            count = len(tests) - skipped
            print(f"{suite.module}.{suite.name}: {good} of {count} pass ({seconds:.1f} s)")
            total += count
            passed += good
    version = ".".join(map(str, sys.version_info[:3]))
    print(f"Python {version}: {passed} of {total} pass, {listed} listed, {wrong} unexpected")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
