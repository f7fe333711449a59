"""What the rounds come to: verdicts, tables in reStructuredText, and all of it as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from processes import Verdict
from rounds import Rounds
from workloads import Candidate, Figures, Workload, better

Lacks = Mapping[tuple[str, str], str]
NOTHING = "-"
EXPLAINED = """\
Medians of the rounds, in us for each operation unless said. *x raw* says how many times worse
netobj is than the bare socket; *x RPyC* and *x best peer*, how many times better than RPyC, and
than the best of the other peers."""

CPU_EXPLAINED = """\
Processor time of both sides, in us for each operation (for each MiB, where rates are measured).
What else runs on the machine touches it less than the figures above:"""


class Held(NamedTuple):
    """A figure beside what it is held to."""

    workload: Workload
    candidate: str
    figure: float
    rule: str
    limit: float

    @property
    def kept(self) -> bool:
        """Is it as good as it is to be?"""
        if self.workload.more_is_better:
            return self.figure >= self.limit
        return self.figure <= self.limit


def held(workloads: Sequence[Workload], figures: Figures) -> list[Held]:
    """Every figure that is held to something, as far as it was measured."""
    found = []
    for workload in workloads:
        for bound in workload.bounds:
            figure = figures.get((workload.name, bound.candidate))
            limit = bound.limit(workload.name, figures)
            if figure is not None and limit is not None:
                found.append(Held(workload, bound.candidate, figure, str(bound), limit))
    return found


def show(all_held: Sequence[Held]) -> Verdict:
    """Print them."""
    verdict = Verdict()
    for workload, candidate, figure, rule, limit in all_held:
        name = f"{candidate}: {workload.title} [{rule}]"
        if workload.more_is_better:
            verdict.show(name, figure, unit=workload.unit, least=limit)
        else:
            verdict.show(name, figure, limit, workload.unit)
    return verdict


def show_quick(workloads: Sequence[Workload], cpu: Figures) -> Verdict:
    """Print how many times the bare socket's processor time netobj takes, and the most for CI."""
    verdict = Verdict()
    for workload in workloads:
        mine, raw = (cpu.get((workload.name, name)) for name in ("netobj", "raw"))
        if mine is not None and raw is not None:
            verdict.show(f"{workload.name}: times raw", mine / raw, workload.quick)
    return verdict


def best_peer(workload: Workload, candidates: Sequence[Candidate], figures: Figures) -> str | None:
    """The best of the peers but RPyC; None if none has the workload."""
    names = [
        candidate.name
        for candidate in candidates
        if candidate.is_peer
        and not candidate.name.startswith("rpyc")
        and (workload.name, candidate.name) in figures
    ]
    choose = max if workload.more_is_better else min
    return choose(names, key=lambda name: figures[workload.name, name], default=None)


def number(figure: float | None, suffix: str = "") -> str:
    """*figure* with as many digits as matter."""
    if figure is None:
        return NOTHING
    digits = 3 if figure < 1 else 1 if figure < 100 else 0
    return f"{figure:,.{digits}f}{suffix}"


def tables(workloads: Sequence[Workload], candidates: Sequence[Candidate], rounds: Rounds) -> str:
    """All tables, one after the other, with what the peers lack."""
    figures = rounds.figures()
    ours = [candidate for candidate in candidates if not candidate.is_peer]
    peers = [candidate for candidate in candidates if candidate.is_peer]
    parts = [
        EXPLAINED,
        rst_table(_summary(workloads, candidates, figures)),
        "What netobj is held to:",
        rst_table(_held_rows(held(workloads, figures))),
        "The bare socket and netobj, all variants:",
        rst_table(_grid(workloads, ours, figures)),
    ]
    parts += [
        f"Beside another netobj, medians of the ratios of each round ({candidate.name} = 1):\n\n"
        + rst_table(_compared(workloads, candidate, rounds))
        for candidate in ours
        if "@" in candidate.name
    ]
    parts += [
        CPU_EXPLAINED,
        rst_table(_grid(workloads, candidates, rounds.figures("cpu_us"))),
    ]
    if peers:
        parts += ["The peers:", rst_table(_grid(workloads, peers, figures))]
        parts += ["What they lack:", "\n".join(_lacking(peers, rounds.lacks))]
    return "\n\n".join(parts) + "\n"


def _summary(
    workloads: Sequence[Workload], candidates: Sequence[Candidate], figures: Figures
) -> Iterator[Sequence[str]]:
    yield "workload", "raw", "RPyC", "best peer", "netobj", "x raw", "x RPyC", "x best peer"
    for workload in workloads:
        best = best_peer(workload, candidates, figures)
        raw, rpyc, mine = (figures.get((workload.name, n)) for n in ("raw", "rpyc", "netobj"))
        its = None if best is None else figures[workload.name, best]

        def times(a: float | None, b: float | None, workload: Workload = workload) -> str:
            return NOTHING if a is None or b is None else number(better(workload, a, b))

        unit = "" if workload.unit == "us" else f", {workload.unit}"
        yield (
            workload.title + unit,
            number(raw),
            number(rpyc),
            number(its, f" ({best})"),
            number(mine),
            times(raw, mine),
            times(mine, rpyc),
            times(mine, its),
        )


def _held_rows(all_held: Sequence[Held]) -> Iterator[Sequence[str]]:
    yield "workload", "of", "held to", "which is", "figure", "verdict"
    for one in all_held:
        least = "at least " if one.workload.more_is_better else "at most "
        verdict = "kept" if one.kept else "MISSED"
        limit, figure = number(one.limit), number(one.figure)
        yield one.workload.title, one.candidate, least + one.rule, limit, figure, verdict


def _grid(
    workloads: Sequence[Workload], candidates: Sequence[Candidate], figures: Figures
) -> Iterator[Sequence[str]]:
    yield "workload", *(candidate.name for candidate in candidates)
    for workload in workloads:
        cells = [figures.get((workload.name, candidate.name)) for candidate in candidates]
        if any(cell is not None for cell in cells):
            yield workload.name, *map(number, cells)


def _compared(
    workloads: Sequence[Workload], other: Candidate, rounds: Rounds
) -> Iterator[Sequence[str]]:
    figures = rounds.figures()
    yield "workload", other.name, "netobj", "ratio"
    for workload in workloads:
        ratio = rounds.ratio(workload.name, "netobj", other.name)
        pair = (figures.get((workload.name, name)) for name in (other.name, "netobj"))
        yield workload.name, *map(number, pair), NOTHING if ratio is None else f"{ratio:.3f}"


def _lacking(peers: Sequence[Candidate], lacks: Lacks) -> Iterator[str]:
    for peer in peers:
        reasons: dict[str, list[str]] = {}
        for (workload, name), why in lacks.items():
            if name == peer.name:
                reasons.setdefault(why, []).append(workload)
        told = "; ".join(f"{', '.join(names)}: {why}" for why, names in reasons.items())
        if told:
            yield f"- {peer.name}: {told}."


def rst_table(rows: Iterator[Sequence[str]]) -> str:
    """A simple table; the first row is its head.

    >>> print(rst_table(iter([("a", "b"), ("long", "1")])))
    ====  ==
    a     b
    ====  ==
    long   1
    ====  ==
    """
    head, *body = rows
    widths = [max(2, *map(len, column)) for column in zip(head, *body, strict=True)]
    rule = "  ".join("=" * width for width in widths)

    def line(row: Sequence[str]) -> str:
        first, *others = row
        cells = [first.ljust(widths[0])]
        cells += [text.rjust(width) for text, width in zip(others, widths[1:], strict=True)]
        return "  ".join(cells).rstrip()

    heading = "  ".join(text.ljust(width) for text, width in zip(head, widths, strict=True))
    return "\n".join([rule, heading.rstrip(), rule, *map(line, body), rule])


def as_data(
    workloads: Sequence[Workload],
    candidates: Sequence[Candidate],
    rounds: Rounds,
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """All that was measured, for a JSON file."""
    figures, cpu = rounds.figures(), rounds.figures("cpu_us")
    return {
        **about,
        "workloads": [
            {
                "name": workload.name,
                "title": workload.title,
                "unit": workload.unit,
                "more is better": workload.more_is_better,
                "best peer": best_peer(workload, candidates, figures),
                "candidates": {
                    candidate.name: {
                        "median": figures[workload.name, candidate.name],
                        "processor time, us": cpu.get((workload.name, candidate.name)),
                        "rounds": [
                            result["figure"]
                            for result in rounds.found[workload.name, candidate.name]
                        ],
                    }
                    for candidate in candidates
                    if (workload.name, candidate.name) in figures
                },
                "lacking": {
                    name: why for (of, name), why in rounds.lacks.items() if of == workload.name
                },
            }
            for workload in workloads
        ],
        "held": [
            {**one._asdict(), "workload": one.workload.name, "kept": one.kept}
            for one in held(workloads, figures)
        ],
    }
