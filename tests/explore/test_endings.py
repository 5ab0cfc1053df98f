"""However a program ends, or does not, there is a clear answer."""

from __future__ import annotations

import pytest

from testbed.errors import MachineUnable
from testbed.findings import Kind, Verdict
from tests.explore.conftest import Explore

# What a search may take that meets an endless loop, s; the loop takes 1 s of processor time.
PATIENCE = 15.0


@pytest.mark.parametrize(
    "defines",
    ["EXIT=0", "LEAVE", "RETURN=0", "TOO_LARGE", "TOO_MANY", "READ", "PRINT"],
)
def test_what_ends_as_it_should_holds(explore: Explore, defines: str) -> None:
    result = explore("endings.c", defines=(defines,), runs=2000, strategy="random")

    assert result.verdict is not Verdict.VIOLATED
    assert result.counters["passed"]
    assert not result.counters["failed"]


@pytest.mark.parametrize(
    ("defines", "kind", "told"),
    [
        ("EXIT=3", Kind.CLAIM, "the program ended with status 3 on CPU 0"),
        ("RETURN=2", Kind.CLAIM, "the program ended with status 2 on CPU 0"),
        ("ABORT", Kind.CRASH, "SIGABRT"),
        ("TOO_DEEP", Kind.CRASH, "SIGSEGV in descend()"),
        ("PRINT_NOTHING", Kind.CRASH, "SIGSEGV"),
    ],
)
def test_what_ends_wrongly_is_a_finding(
    explore: Explore, defines: str, kind: Kind, told: str
) -> None:
    result = explore("endings.c", defines=(defines,))

    assert result.kinds == [kind]
    assert told in result.finding.title + result.finding.sentence
    assert kind is Kind.CRASH or result.finding.here.stack[0].file.endswith("endings.c")


def test_more_memory_than_there_is_is_unknown(explore: Explore) -> None:
    result = explore("endings.c", defines=("TOO_MUCH",), runs=1100)

    assert result.verdict is Verdict.UNKNOWN
    assert "more than the explorer keeps of one run" in result.summary.reason


@pytest.mark.parametrize(
    ("define", "processes", "strategy"),
    [("ENDLESS", 2, "auto"), ("ENDLESS_PRIVATE", 1, "auto"), ("ENDLESS_SOMETIMES", 2, "random")],
)
def test_a_loop_without_an_end_is_a_finding(
    explore: Explore, define: str, processes: int, strategy: str
) -> None:
    result = explore("endings.c", defines=(define,), processes=processes, strategy=strategy)

    assert result.kinds == [Kind.NO_PROGRESS]
    (place,) = result.finding.here.stack[:1]
    assert (place.function, place.file.rpartition("/")[2]) == ("set", "endings.c")
    assert result.summary.duration_s < PATIENCE


@pytest.mark.parametrize(
    ("define", "kind"),
    [
        ("CLAIM", Kind.CLAIM),
        ("CRASH", Kind.CRASH),
        ("DEADLOCK", Kind.DEADLOCK),
        ("LOOP", Kind.NO_PROGRESS),
    ],
)
def test_what_goes_wrong_before_the_tasks_is_a_finding(
    explore: Explore, define: str, kind: Kind
) -> None:
    result = explore("init.c", defines=(define,))

    assert result.kinds == [kind]
    assert any(place.file.endswith("init.c") for place in result.finding.here.stack)


@pytest.mark.parametrize(
    ("define", "told"),
    [("SPIN", "bound the loops of INIT"), ("LOCAL", "no thread-local variables")],
)
def test_what_cannot_be_prepared_is_told(explore: Explore, define: str, told: str) -> None:
    with pytest.raises(MachineUnable, match=told):
        explore("init.c", defines=(define,))


def test_what_comes_before_the_tasks_is_no_part_of_the_search(explore: Explore) -> None:
    assert explore("init.c").verdict is Verdict.HELD


def test_what_is_used_of_a_stack_that_is_gone_has_a_size(explore: Explore) -> None:
    result = explore("tests/explore/detectors/stack_completion.c", defines=("BROKEN",))

    assert result.kinds == [Kind.USE_AFTER_FREE]
    assert "used 4 bytes" in result.finding.sentence
