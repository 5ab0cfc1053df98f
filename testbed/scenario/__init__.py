"""Scenarios: probes, functions and lists of operations, as data that any machine can run.

::

    @scenario(cpus=2)
    def unregister_vs_hit(m):
        \"\"\"A handler never runs after unregister_kprobe() has returned.\"\"\"
        f = m.function("push_rbp")
        p = m.kprobe(f)
        m.task(cpu=0).register(p).unregister(p)
        m.task(cpu=1).call(f, times=2)
"""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from testbed.scenario.builder import ScenarioBuilder, TaskBuilder, scenario
from testbed.scenario.check import ScenarioError
from testbed.scenario.model import (
    VOCABULARY,
    CFunction,
    CTask,
    Interrupt,
    Operation,
    Probe,
    Scenario,
    Task,
)

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = [
    "CFunction", "CTask", "Interrupt", "Operation", "Probe", "Scenario", "ScenarioBuilder",
    "ScenarioError", "Task", "TaskBuilder", "scenario", "scenarios",
]  # fmt: skip

# One of each way in which a function can start, call others, and be patched.
DEFAULT_FUNCTIONS = (
    "nop5", "push_rbp", "rip_relative", "counted_loop", "call_direct", "tail_call", "site_call",
    "site_jump_backward",
)  # fmt: skip


def scenarios(
    *,
    functions: Sequence[str] = DEFAULT_FUNCTIONS,
    operations: Collection[str] = tuple(VOCABULARY),
    max_cpus: int = 2,
    max_tasks: int = 3,
    max_probes: int = 3,
    max_operations: int = 8,
    max_interrupts: int = 2,
) -> "SearchStrategy[Scenario]":
    """Return a Hypothesis strategy of valid scenarios; needs ``pip install hypothesis``.

    Args:
        functions: names of those that are called, probed and patched.
        operations: names of those that tasks may do; see `model.VOCABULARY`.
        max_cpus: CPUs at most.
        max_tasks: tasks at most.
        max_probes: probes at most.
        max_operations: of each task, at most; a few are added to begin and end what is shared.
        max_interrupts: devices and NMIs at most.

    Raises:
        ScenarioError: Hypothesis is not installed, or there is no operation of some name.
    """
    try:
        from testbed.scenario.strategy import Bounds, generated
    except ModuleNotFoundError as error:
        raise ScenarioError(
            f"{error.name} is not installed: scenarios are generated with it, "
            "for example: pip install hypothesis"
        ) from error
    return generated(Bounds(
        tuple(functions), frozenset(operations), max_cpus, max_tasks, max_probes, max_operations,
        max_interrupts,
    ))  # fmt: skip
