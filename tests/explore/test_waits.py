"""Waiting until a word is clear is one operation: it comes wherever the word is, and not before."""

from __future__ import annotations

import pytest

from tests.explore.running import PROGRAMS, exhaust, exploring_target


@pytest.mark.parametrize(
    ("defines", "outcomes"),
    [("", {0, 1, 2, 3}), ("COUNT", {0}), ("COUNT LOOK", {0, 1, 2})],
)
def test_who_waits_goes_on_wherever_the_word_is_clear(defines: str, outcomes: set[int]) -> None:
    with exploring_target(PROGRAMS / "waits.c", *defines.split()) as explorer:
        results = [exhaust(explorer, strategy) for strategy in ("dpor", "sleep", "stateful")]
        without_buffers = [exhaust(explorer, strategy, 0) for strategy in ("dpor", "stateful")]

    for result in results + without_buffers:
        assert result.outcomes.keys() == outcomes
        assert not result.ends["failed"]
    dpor, sleep = results[:2]
    assert dpor.ends["passed"] == sleep.ends["passed"]
    # Who is the first to answer is no difference.
    assert (dpor.ends["passed"] == 1) == (defines == "COUNT")
