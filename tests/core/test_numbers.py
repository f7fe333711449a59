"""Numbers that nobody else uses."""

from __future__ import annotations

from netobj.core.numbers import Numbers, numbers


def test_each_number_is_given_once() -> None:
    one = Numbers()
    assert len({next(one.chains) for _ in range(100)}) == 100
    assert [next(one.requests) for _ in range(3)] == [1, 2, 3]


def test_chains_are_unique_across_processes() -> None:
    one, two = Numbers(), Numbers()
    first, second = next(one.chains), next(two.chains)
    assert abs(first - second) >= 2**32
    assert 0 <= first < 2**63
    assert first % 2**32 == 0


def test_a_process_has_a_token_of_16_bytes() -> None:
    assert len(numbers.process) == 16
    assert Numbers().process != numbers.process


def test_a_child_of_fork_begins_anew() -> None:
    one = Numbers()
    process, chain = one.process, next(one.chains)
    next(one.requests)
    one.renew()
    assert one.process != process
    assert abs(next(one.chains) - chain) > 1
    assert next(one.requests) == 1
