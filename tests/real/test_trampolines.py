"""Trampolines on real CPUs: nobody is left in one that is freed, and whoever is, is found out."""

from pathlib import Path

import pytest

from testbed.findings import Kind, Summary, Verdict
from testbed.harness import Harness, harnesses, load
from testbed.stress import RunOptions, run
from testbed.zoo import zoo_folder

HARNESS = load("trampolines")
SEED = 5


def stressed(
    duration_s: float, *patches: Path, harness: Harness = HARNESS, **extra: int
) -> Summary:
    values = {option.name: option.default for option in harness.options} | extra
    return run(harness, RunOptions(cpus=2, seed=SEED, duration_s=duration_s, patches=patches,
                                   extra=values))  # fmt: skip


def test_tasks_are_preempted_on_trampolines_that_come_and_go() -> None:
    summary = stressed(1.0)

    assert summary.verdict is Verdict.HELD, summary.findings or summary.reason
    counters = summary.counters
    assert counters["trampolines freed"] > 0
    assert counters["calls surely traced"] > 0
    assert counters["preempted on a trampoline"] + counters["preempted below a trampoline"] > 0


def test_a_trampoline_that_is_freed_under_a_preempted_task_is_found() -> None:
    # The twin keeps the test above honest.
    summary = stressed(30.0, zoo_folder() / "tracer-freed-without-tasks.patch")

    assert summary.verdict is Verdict.VIOLATED
    assert summary.findings[0].kind in {
        Kind.FREED_TEXT, Kind.USE_AFTER_FREE, Kind.CLAIM, Kind.CRASH, Kind.UNKNOWN_TRAP
    }  # fmt: skip


@pytest.mark.parametrize("name", ["traced_0000", "traced_0999"])
def test_a_thousand_functions_can_be_traced(name: str) -> None:
    from testbed.text.image import build_image

    image = build_image(library=None, imports={}, **HARNESS.image)
    function = image.function(name)
    offset = function.addr - image.functions[0].addr
    assert image.text[offset : offset + 5] == bytes.fromhex("0f1f440000")


TRACING = [one.name for one in harnesses() if one.path.name == "tracing.py"]


@pytest.mark.parametrize("name", TRACING)
def test_a_scenario_of_tracing_holds(name: str) -> None:
    summary = stressed(0.3, harness=load(name))

    assert summary.verdict is Verdict.HELD, summary.findings or summary.reason
    assert summary.counters["registers"] > 0


def test_tracing_holds_when_memory_is_short() -> None:
    summary = stressed(0.5, harness=load("one_two_one"), fail_alloc=10)

    assert summary.verdict is Verdict.HELD, summary.findings or summary.reason
    assert summary.counters["injected failures"] > 0
