"""The engine reaches exactly the outcomes that x86-TSO allows: of known tests and of random ones.

Three have to agree: the sets written in litmus.toml, the abstract machine of tso_oracle.py, and the
engine's exhaustive searches of the same programs in C.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from testbed.build import Core
from testbed.explore.process import Explorer
from tests.explore.conftest import kept
from tests.explore.litmus import (
    DEADLOCK,
    SELECTOR,
    KnownLitmus,
    Litmus,
    Outcome,
    c_program,
    known_litmus_tests,
    outcome_hash,
    parse_litmus,
)
from tests.explore.litmus_programs import programs, programs_with_mutexes
from tests.explore.running import built, exhaust
from tests.explore.tso_oracle import outcomes

KNOWN = known_litmus_tests(Path(__file__).with_name("litmus.toml"))
STRATEGIES = ("sleep", "dpor", "stateful")

each_known_test = pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.litmus.name)


def difference(
    explorer: Explorer, litmus: Litmus, expected: frozenset[Outcome], strategy: str, buffer: int = 8
) -> str:
    """Return what the engine reaches too much or too little, "" if nothing."""
    result = exhaust(explorer, strategy, buffer)
    found = set(result.outcomes)
    names = {outcome_hash(litmus, one): one for one in expected if one != DEADLOCK}
    assert len(names) == len(expected - {DEADLOCK}), "two outcomes with one hash"
    if (result.ends["failed"] > 0) != (DEADLOCK in expected):
        return f"{litmus}\n{strategy}, buffer of {buffer}: {result.ends['failed']} deadlocks"
    missing = [names[number] for number in names.keys() - found]
    extra = found - names.keys()
    if not missing and not extra:
        return ""
    return f"{litmus}\n{strategy}, buffer of {buffer}: missing {missing}, {len(extra)} too much"


@pytest.fixture(scope="module")
def known_core() -> Core:
    return built(kept({"known.c": c_program([known.litmus for known in KNOWN])}) / "known.c")


@each_known_test
def test_the_abstract_machine_has_the_outcomes_that_are_written(known: KnownLitmus) -> None:
    assert outcomes(known.litmus) == known.outcomes


@each_known_test
def test_what_the_literature_allows_is_reached_and_what_it_forbids_is_not(
    known: KnownLitmus,
) -> None:
    assert set(known.allowed) <= known.outcomes
    assert not known.outcomes & set(known.forbidden)


@pytest.mark.parametrize("strategy", STRATEGIES)
@each_known_test
def test_the_engine_reaches_the_outcomes_that_are_written(
    known: KnownLitmus, strategy: str, known_core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SELECTOR, str(KNOWN.index(known)))
    with Explorer(known_core) as explorer:
        assert not difference(explorer, known.litmus, known.outcomes, strategy)


def test_a_model_without_forwarding_would_be_noticed(
    known_core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin of the tests above: sequential consistency is not what is written."""
    relaxed = next(known for known in KNOWN if known.litmus.name == "n6")
    monkeypatch.setenv(SELECTOR, str(KNOWN.index(relaxed)))
    with Explorer(known_core) as explorer:
        assert difference(explorer, relaxed.litmus, relaxed.outcomes, "sleep", buffer=0)


BATCH = 24


def differences(tests: Sequence[Litmus], buffer: int) -> list[str]:
    """Return where the engine and the abstract machine differ."""
    core, found = built(kept({"random.c": c_program(tests)}) / "random.c"), []
    with pytest.MonkeyPatch.context() as environment:
        for number, litmus in enumerate(tests):
            environment.setenv(SELECTOR, str(number))
            expected = outcomes(litmus, buffer)
            with Explorer(core) as explorer:
                found += [
                    difference(explorer, litmus, expected, strategy, buffer)
                    for strategy in STRATEGIES
                ]
    return [text for text in found if text]


# A disagreement that shrinks to one program and is added here stays fixed.
FORWARDED = parse_litmus(
    "a store of another thread between two that overlap",
    [["store2 x 0x0101", "r0 = load4 x", "store1 x+1 2"], ["store4 x 0x03030303", "r1 = load8 x"]],
    ["r0", "r1", "load8 x"],
)


randomly = settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)


@randomly
@example([FORWARDED], 2)
@given(st.lists(programs(), min_size=BATCH // 2, max_size=BATCH), st.sampled_from([8, 8, 2, 1, 0]))
def test_random_programs_reach_what_the_abstract_machine_does(
    tests: list[Litmus], buffer: int
) -> None:
    assert not differences(tests, buffer)


OPPOSITE = parse_litmus(
    "two mutexes in opposite orders",
    [["lock m", "lock n", "unlock n", "unlock m"], ["lock n", "lock m", "unlock m", "unlock n"]],
    ["load4 x"],
)


@randomly
@example([OPPOSITE], 8)
@given(
    st.lists(programs_with_mutexes(), min_size=BATCH // 2, max_size=BATCH),
    st.sampled_from([8, 1]),
)
def test_random_programs_with_mutexes_reach_it_too_and_their_deadlocks_are_found(
    tests: list[Litmus], buffer: int
) -> None:
    assert not differences(tests, buffer)


SB = [["store4 x 1", "r0 = load4 y"], ["store4 y 1", "r1 = load4 x"]]
FENCED = [[thread[0], "mfence", thread[1]] for thread in SB]


@pytest.mark.parametrize(
    ("threads", "replaced", "by"), [(FENCED, "mfence", "load4 z"), (SB, "store4", "xchg4")]
)
def test_a_program_that_is_another_one_is_told_apart(
    threads: list[list[str]], replaced: str, by: str
) -> None:
    """The twin of the test above: it sees a difference where there is one."""
    changed = [[line.replace(replaced, by) for line in thread] for thread in threads]
    litmus = parse_litmus("SB", threads, ["r0", "r1"])
    text = c_program([parse_litmus("SB", changed, ["r0", "r1"])])
    source = kept({"changed.c": text}) / "changed.c"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(SELECTOR, "0")
        with Explorer(built(source)) as explorer:
            assert difference(explorer, litmus, outcomes(litmus), "sleep")
