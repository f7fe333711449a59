"""Run one world again, and print each step: ``python tests/simulation/replay.py SEED``.

Add ``--quiet`` for the verdict alone, and ``--count N`` to go on with the N - 1 seeds behind it.
``--faults`` breaks the core in each way of ``simulation.faults``, and says after how many seeds,
from that one on, it is noticed.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from pathlib import Path

ROOT = Path(__file__).parents[2]
MOST = 250  # seeds in which a broken core is to be noticed


def main() -> int:
    parser = argparse.ArgumentParser(description="Replay worlds of the simulation.")
    parser.add_argument("seed", type=int)
    parser.add_argument("--count", type=int, default=1, help="how many seeds, from that one on")
    parser.add_argument("--quiet", action="store_true", help="do not print the steps")
    parser.add_argument("--faults", action="store_true", help="break the core, and find out")
    options = parser.parse_args()
    sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]
    from simulation.world import run

    if options.faults:
        return _break(options.seed)
    failed = 0
    for seed in range(options.seed, options.seed + options.count):
        try:
            run(seed, (lambda text: None) if options.quiet else print)
        except Exception:
            failed += 1
            traceback.print_exc(file=sys.stdout)
            print(f"seed {seed} fails")
    print(f"{options.count - failed} of {options.count} worlds are as they should be")
    return 1 if failed else 0


def _break(first: int) -> int:
    import pytest

    from simulation.faults import FAULTS
    from simulation.world import run

    missed = 0
    for name, fault in FAULTS.items():
        found = None
        with pytest.MonkeyPatch.context() as patch:
            fault(patch.setattr)
            for seed in range(first, first + MOST):
                try:
                    run(seed)
                except Exception as exc:
                    found = f"after {seed - first + 1} seeds: {type(exc).__name__}: {exc!s:.60}"
                    break
        missed += found is None
        print(f"{name}: {found or 'never'}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
