"""What ``benchmarks/speed.py`` makes of what it has measured: medians, ratios, verdicts, tables."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

import speed_report
from rounds import Failed, Rounds, over_all
from workloads import BY_NAME, CANDIDATES, WORKLOADS, Bound, Candidate, Workload, better

PLAIN, BYTES, FOR = BY_NAME["plain"], BY_NAME["bytes"], BY_NAME["for"]
BY_CANDIDATE = {candidate.name: candidate for candidate in CANDIDATES}


def measured(
    figures: dict[tuple[str, str], Iterable[float | None]], candidates: Iterable[Candidate]
) -> Rounds:
    """Rounds in which those *figures* were found, one after the other; None: it failed."""
    left = {key: iter(values) for key, values in figures.items()}
    rounds = Rounds()

    def measure_one(candidate: Candidate, workload: Workload) -> dict[str, Any]:
        figure = next(left[workload.name, candidate.name])
        if figure is None:
            raise Failed("no figure")
        return {"figure": figure, "cpu_us": 2 * figure}

    names = dict.fromkeys(name for name, _ in figures)
    for _ in range(3):
        rounds.run([BY_NAME[name] for name in names], list(candidates), measure_one)
    return rounds


def chosen(*names: str) -> list[Candidate]:
    return [BY_CANDIDATE[name] for name in names]


def test_medians_are_taken_over_the_rounds() -> None:
    rounds = measured(
        {("plain", "raw"): (10, 30, 11), ("plain", "netobj"): (22, 20, 90)},
        chosen("raw", "netobj"),
    )
    assert rounds.figures() == {("plain", "raw"): 11, ("plain", "netobj"): 22}
    assert rounds.figures("cpu_us")["plain", "raw"] == 22


def test_paired_ratios_are_those_of_the_same_round() -> None:
    rounds = measured(
        {("plain", "raw"): (10, 100, 10), ("plain", "netobj"): (20, 150, 30)},
        chosen("raw", "netobj"),
    )
    assert rounds.ratio("plain", "netobj", "raw") == 2.0
    assert rounds.ratio("plain", "netobj", "rpyc") is None


def test_what_fails_is_left_out_and_says_why() -> None:
    rounds = measured(
        {("plain", "raw"): (10, 10, 10), ("plain", "rpyc"): (50, None)}, chosen("raw", "rpyc")
    )
    assert rounds.lacks == {("plain", "rpyc"): "failed: no figure"}
    assert len(rounds.found["plain", "rpyc"]) == 1
    assert "- rpyc: plain: failed: no figure." in speed_report.tables(
        [PLAIN], chosen("raw", "rpyc"), rounds
    )


def test_a_candidate_takes_its_own_workloads_only() -> None:
    rounds = measured({("for", "netobj"): (1, 1, 1)}, chosen("netobj", "raw-spin"))
    assert set(rounds.found) == {("for", "netobj")}


def test_clients_side_by_side_count_as_a_whole() -> None:
    clients = [
        {"begin": 0.0, "end": 1.0, "count": 1000},
        {"begin": 0.5, "end": 2.0, "count": 3000},
    ]
    assert over_all(clients)["figure"] == 500.0  # us: two seconds, 4,000 calls


@pytest.mark.parametrize(
    ("bound", "limit", "text"),
    [
        (Bound(7), 7, "7"),
        (Bound(1.4, "raw"), 14, "1.4 x raw"),
        (Bound(0.1, "rpyc"), 20, "rpyc / 10"),
        (Bound(1 / 6, "rpyc"), pytest.approx(200 / 6), "rpyc / 6"),
        (Bound(1.5, "netobj", "for"), 3, "1.5 x netobj's for"),
        (Bound(2, "dask"), None, "2 x dask"),
    ],
)
def test_bounds(bound: Bound, limit: float | None, text: str) -> None:
    figures = {("plain", "raw"): 10.0, ("plain", "rpyc"): 200.0, ("for", "netobj"): 2.0}
    assert bound.limit("plain", figures) == limit
    assert str(bound) == text


def test_rates_are_held_to_a_least_and_times_to_a_most(capsys: pytest.CaptureFixture[str]) -> None:
    figures = {
        ("bytes", "raw"): 4000.0,
        ("bytes", "netobj"): 3500.0,
        ("for", "netobj"): 2.0,
    }
    found = speed_report.held([BYTES, FOR, PLAIN], figures)
    assert [(one.workload.name, one.limit, one.kept) for one in found] == [
        ("bytes", 3000.0, True),
        ("for", 1.5, False),
    ]
    assert not speed_report.show(found).kept
    shown = capsys.readouterr().out.splitlines()
    assert "at least 3000: kept" in shown[0]
    assert "at most 1.5: MISSED" in shown[1]


def test_better_is_less_time_or_a_higher_rate() -> None:
    assert better(PLAIN, 10, 20) == 2
    assert better(BYTES, 20, 10) == 2


def test_the_best_peer_is_neither_ours_nor_rpyc() -> None:
    figures = {
        ("plain", "raw"): 1.0,
        ("plain", "rpyc"): 2.0,
        ("plain", "thriftpy2"): 4.0,
        ("plain", "dask"): 5.0,
        ("bytes", "thriftpy2"): 4.0,
        ("bytes", "dask"): 5.0,
    }
    assert speed_report.best_peer(PLAIN, CANDIDATES, figures) == "thriftpy2"
    assert speed_report.best_peer(BYTES, CANDIDATES, figures) == "dask"
    assert speed_report.best_peer(FOR, CANDIDATES, figures) is None


def test_the_short_mode_judges_ratios_to_the_bare_socket_only() -> None:
    plain = BY_NAME["plain-pinned"]
    assert plain.quick is not None
    for times, kept in ((plain.quick * 0.9, True), (plain.quick * 1.1, False)):
        cpu = {("plain-pinned", "raw"): 10.0, ("plain-pinned", "netobj"): 10 * times}
        assert speed_report.show_quick([plain], cpu).kept is kept


def test_the_tables_name_ratios_and_verdicts() -> None:
    candidates = chosen("raw", "netobj", "rpyc", "thriftpy2")
    figures = {"raw": 50.0, "netobj": 60.0, "rpyc": 180.0, "thriftpy2": 66.0}
    rounds = measured(
        {("plain", name): (figure,) * 3 for name, figure in figures.items()}, candidates
    )
    text = speed_report.tables([PLAIN], candidates, rounds)
    first, held = (line.split() for line in text.splitlines() if line.startswith(PLAIN.title))
    assert first[-8:] == ["50.0", "180", "66.0", "(thriftpy2)", "60.0", "1.2", "3.0", "1.1"]
    assert held[-3:] == ["18.0", "60.0", "MISSED"]


def test_the_data_are_plain_and_complete() -> None:
    rounds = measured(
        {("plain", "raw"): (1, 2, 3), ("plain", "netobj"): (4, 5, 6)}, chosen("raw", "netobj")
    )
    data = speed_report.as_data([PLAIN], chosen("raw", "netobj"), rounds, {"rounds": 3})
    data = json.loads(json.dumps(data))
    assert data["rounds"] == 3
    found = data["workloads"][0]["candidates"]["netobj"]
    assert found == {"median": 5, "processor time, us": 10, "rounds": [4, 5, 6]}


def test_every_bound_names_what_there_is() -> None:
    for workload in WORKLOADS:
        for bound in workload.bounds:
            assert not bound.of or bound.of in BY_CANDIDATE
            assert not bound.workload or bound.workload in BY_NAME
            assert BY_CANDIDATE[bound.candidate].takes(workload)
