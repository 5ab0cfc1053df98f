"""Text does the same on both machines: what probes see of registers, at every instruction.

The real machine has the processor run the text; the virtual one interprets it. A program that
runs on both says in one number what handlers have seen; see `programs/text_registers.c`.
"""

from collections.abc import Callable, Iterator
from difflib import unified_diff
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.build import Request, build
from testbed.explore.process import Explorer, Job
from testbed.machine import Machine, MachineConfig
from testbed.paths import project_root
from testbed.text.image import assembled_image
from testbed.text.model import TextFunction
from tests.explore.conftest import PROGRAMS, kept
from tests.explore.running import exploring_target

PROGRAM = PROGRAMS / "text_registers.c"

SCENARIO = f'''"""A scenario of one task."""

from testbed.scenario import scenario


@scenario(cpus=2)
def registers(m):
    """Registers are what they are on the other machine."""
    m.c_task("{PROGRAM}", "text_registers", cpu=0)
'''

# The interpreter loses the flags that an instruction leaves.
NATIVE = "workers/virtual/text/native.c"
RIGHT = "regs->flags = (regs->flags & FLAGS_OWN) | kept;"
WRONG = "regs->flags = FLAGS_KEPT | kept;"

MASK = 2**64 - 1
MOST_STEPS = 10_000_000
CALLABLE = [one for one in assembled_image().functions if one.expected is not None]
EXAMPLES = 60

Registers = Callable[[int, int], int]


@pytest.fixture(scope="module")
def scenario() -> Path:
    return kept({"registers.py": SCENARIO}) / "registers.py"


def case(function: int, numbers: int) -> int:
    """Return how the program calls a case: by a function's index, and what arguments come from."""
    return function | numbers << 8


def interpreted(explorer: Explorer) -> Registers:
    """Return what an explorer process comes to."""

    def run(function: int, numbers: int) -> int:
        # A run's seed is all that a process is told anew.
        job = Job("search", "round_robin", seed=case(function, numbers), runs=1,
                  max_steps=MOST_STEPS)  # fmt: skip
        result = explorer.do(job)
        assert result.end == "passed"
        (outcome,) = result.outcomes
        return outcome

    return run


@pytest.fixture(scope="module")
def virtual(scenario: Path) -> Iterator[Registers]:
    with exploring_target(scenario) as explorer:
        yield interpreted(explorer)


@pytest.fixture(scope="module")
def real() -> Iterator[Registers]:
    core = build(Request(extra=(PROGRAM,)))
    with Machine(core, assembled_image(), MachineConfig(cpus=2)) as machine:
        yield lambda function, numbers: (
            machine.call("text_registers", case(function, numbers)) & MASK
        )


def index(function: TextFunction) -> int:
    return assembled_image().functions.index(function)


def test_every_function_has_the_same_registers_on_both_machines(
    virtual: Registers, real: Registers
) -> None:
    for function in CALLABLE:
        number = index(function)
        assert virtual(number, 77) == real(number, 77), function.name


def test_registers_are_the_same_whatever_the_arguments(
    virtual: Registers, real: Registers
) -> None:
    @settings(max_examples=EXAMPLES, deadline=None)
    @given(function=st.sampled_from(CALLABLE), numbers=st.integers(0, 2**56 - 1))
    def check(function: TextFunction, numbers: int) -> None:
        assert virtual(index(function), numbers) == real(index(function), numbers)

    check()


def test_an_interpreter_that_loses_flags_is_noticed(
    real: Registers, scenario: Path, tmp_path: Path
) -> None:
    # The twin keeps the tests above honest.
    patch = tmp_path / "loses-flags.patch"
    source = (project_root() / NATIVE).read_text()
    assert source.count(RIGHT) == 1
    patch.write_text("".join(unified_diff(
        source.splitlines(keepends=True), source.replace(RIGHT, WRONG).splitlines(keepends=True),
        f"a/{NATIVE}", f"b/{NATIVE}",
    )))  # fmt: skip
    with exploring_target(scenario, patches=(patch,)) as explorer:
        number = index(assembled_image().function("flags_chain"))
        assert interpreted(explorer)(number, 77) != real(number, 77)
