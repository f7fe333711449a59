"""netobj beside its peers and beside the bare socket: a table, a JSON file and a plot.

``python benchmarks/speed.py``: every workload with every candidate that is installed (the extra
``bench`` installs them all), each in fresh processes, in several rounds; at the end every figure
beside what it is held to. ``--quick`` is for CI: a part of the workloads, with netobj and the bare
socket only, all on one core. It compares processor time, which other load hardly touches; it
writes nothing, and fails where netobj takes a great deal more than the bare socket.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import machine
import speed_report
from rounds import Failed, Rounds, describe, measure
from sizes import frame_sizes
from workloads import CANDIDATES, WORKLOADS, Candidate, Workload

HERE = Path(__file__).parent
QUICK = ("raw", "netobj")


def main(options: argparse.Namespace) -> int:
    """Measure and report; returns the code to end with."""
    workloads = _chosen_workloads(options)
    rounds, others = Rounds(), machine.Others()
    with compared(options.compare) as added:
        candidates, versions = _present(_chosen_candidates(options) + added, workloads, rounds)
        sizes = frame_sizes()

        def measure_one(candidate: Candidate, workload: Workload) -> dict[str, Any]:
            return measure(candidate, workload, options.seconds, sizes[workload.name])

        for _ in range(options.rounds):
            rounds.run(workloads, candidates, measure_one)
    share = others.share()
    print(f"\nothers took {share:.0%} of the processor time meanwhile\n")
    if options.quick:
        verdict = speed_report.show_quick(workloads, rounds.figures("cpu_us"))
        return 0 if verdict.kept and not rounds.lacks else 1
    text = speed_report.tables(workloads, candidates, rounds)
    print(text)
    speed_report.show(speed_report.held(workloads, rounds.figures()))
    about = {
        "machine": machine.describe(),
        "processor time that others took": round(share, 3),
        "commit": _git("describe", "--always", "--dirty").decode().strip(),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "versions": versions,
    }
    data = speed_report.as_data(workloads, candidates, rounds, about)
    write(options.out, text, data)
    return 0


def write(directory: Path, text: str, data: dict[str, Any]) -> None:
    """The table, the data and the plot, as files."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "speed.rst").write_text(text, encoding="utf-8")
    (directory / "speed.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    files = [str(directory / name) for name in ("speed.json", "speed.svg")]
    drawn = subprocess.run([sys.executable, str(HERE / "plot.py"), *files], check=False)
    if drawn.returncode:
        print("no plot: it is drawn by matplotlib, which the extra `bench` installs")


@contextmanager
def compared(commit: str | None) -> Iterator[list[Candidate]]:
    """The netobj of another commit, in a directory of its own, as one more candidate."""
    if commit is None:
        yield []
        return
    with tempfile.TemporaryDirectory() as directory:
        with tarfile.open(fileobj=io.BytesIO(_git("archive", commit, "netobj"))) as archive:
            archive.extractall(directory, filter="data")
        yield [Candidate(f"netobj@{commit}", "netobj_peer", source=directory)]


def _git(*args: str) -> bytes:
    return subprocess.run(
        ["git", *args], cwd=HERE.parent, check=True, stdout=subprocess.PIPE
    ).stdout


def _present(
    candidates: Sequence[Candidate], workloads: Sequence[Workload], rounds: Rounds
) -> tuple[list[Candidate], dict[str, str]]:
    """Those that are installed, and their versions. What they lack is noted in *rounds*."""
    present, versions = [], {}
    for candidate in candidates:
        try:
            found = describe(candidate)
        except Failed as exc:
            print(f"{candidate.name} is left out: {exc}")
            continue
        present.append(candidate)
        versions[candidate.name] = found["version"]
        for workload in workloads:
            for lacking in {workload.operation, workload.name} & set(found["lacks"]):
                if candidate.takes(workload):
                    rounds.lacks[workload.name, candidate.name] = found["lacks"][lacking]
    return present, versions


def _chosen_workloads(options: argparse.Namespace) -> list[Workload]:
    if options.quick:
        return [w._replace(cores=1) for w in WORKLOADS if w.quick is not None]
    return [w for w in WORKLOADS if not options.only or w.name in options.only]


def _chosen_candidates(options: argparse.Namespace) -> list[Candidate]:
    names = QUICK if options.quick else options.peers
    return [candidate for candidate in CANDIDATES if not names or candidate.name in names]


def _names(kind: str, known: Sequence[str], text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(f"no {kind} {name}: there are {', '.join(known)}")
    return names


def options() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    names = [workload.name for workload in WORKLOADS], [c.name for c in CANDIDATES]
    for_workloads, for_candidates = partial(_names, "workload"), partial(_names, "candidate")
    parser.add_argument(
        "--only",
        type=partial(for_workloads, names[0]),
        metavar="WORKLOADS",
        help="only these workloads: " + ",".join(names[0]),
    )
    parser.add_argument(
        "--peers",
        type=partial(for_candidates, names[1]),
        metavar="CANDIDATES",
        help="only these candidates: " + ",".join(names[1]),
    )
    parser.add_argument("--rounds", type=int, help="how often to measure each (5; quick: 3)")
    parser.add_argument(
        "--seconds", type=float, help="how long to measure each in a round (0.4; quick: 0.15)"
    )
    parser.add_argument("--quick", action="store_true", help="the short mode, for CI")
    parser.add_argument("--compare", metavar="COMMIT", help="measure that netobj, too")
    parser.add_argument(
        "--out", type=Path, default=HERE / "results", help="where the files go (results/)"
    )
    given = parser.parse_args()
    given.rounds = given.rounds or (3 if given.quick else 5)
    given.seconds = given.seconds or (0.15 if given.quick else 0.4)
    return given


if __name__ == "__main__":
    try:
        sys.exit(main(options()))
    except KeyboardInterrupt:
        sys.exit("interrupted: nothing is written")
