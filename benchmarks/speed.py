"""netobj beside its peers and beside the bare socket: a table, a JSON file and a plot.

``python benchmarks/speed.py``: every workload with every candidate that is installed (the extra
``bench`` installs them all), each in fresh processes, in several rounds. ``--quick`` is for CI: a
part of the workloads with netobj and the bare socket only; it fails where netobj has become a
great deal slower than the bare socket, and writes nothing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import report
from rounds import Failed, Rounds, describe, measure
from sizes import frame_sizes
from workloads import BY_NAME, CANDIDATES, WORKLOADS, Candidate, Workload

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Measure and report."""
    options = _options()
    workloads = [w for w in WORKLOADS if not options.only or w.name in options.only]
    candidates = [c for c in CANDIDATES if not options.peers or c.name in options.peers]
    rounds = Rounds()
    versions = {}
    for candidate in list(candidates):
        try:
            found = describe(candidate)
        except Failed as exc:
            candidates.remove(candidate)
            print(f"{candidate.name} is left out: {exc}")
            continue
        versions[candidate.name] = found["version"]
        for workload in workloads:
            if workload.operation in found["lacks"]:
                why = found["lacks"][workload.operation]
                rounds.lacks[workload.name, candidate.name] = why
    sizes = frame_sizes()

    def measure_one(candidate: Candidate, workload: Workload) -> dict[str, object]:
        return measure(candidate, workload, options.seconds, sizes[workload.name])

    for _ in range(options.rounds):
        rounds.run(workloads, candidates, measure_one, print)
    print(report.table(workloads, candidates, rounds.medians, rounds.lacks))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.4)
    parser.add_argument("--only", type=lambda text: text.split(","))
    parser.add_argument("--peers", type=lambda text: text.split(","))
    return parser.parse_args()


if __name__ == "__main__":
    main()
