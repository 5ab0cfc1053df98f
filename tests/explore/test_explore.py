"""A search: its verdicts, the same result however it is shared out, and what becomes of trouble."""

import os
import signal
import time
from pathlib import Path

import pytest

from testbed.errors import BuildError
from testbed.explore.process import ExplorerLost, Job, Pool
from testbed.explore.python_strategy import StrategyError, load_strategy
from testbed.explore.run import ExploreOptions, opened
from testbed.explore.search import SearchOptions
from testbed.explore.target import TargetError, claim_of, find_target
from testbed.findings import Kind, Verdict
from tests.explore.conftest import Explore, Explored

SPINNING = """
#include <pthread.h>
#include <stdatomic.h>

static atomic_int stop, turns;

static void *spin(void *unused)
{
	while (!atomic_load(&stop))
		atomic_fetch_add(&turns, 1);
	return 0;
}

int main(void)
{
	pthread_t thread;

	pthread_create(&thread, 0, spin, 0);
	pthread_join(thread, 0);
	return 0;
}
"""

STRATEGY = """
def lowest(enabled, current, pending):
    assert set(pending) == set(enabled)
    return min(enabled)


def highest(enabled, current, pending):
    return max(enabled)


def nobody(enabled, current, pending):
    return 99


def broken(enabled, current, pending):
    return enabled[current]["x"]
"""


@pytest.fixture
def spinning(tmp_path: Path) -> Path:
    path = tmp_path / "spinning.c"
    path.write_text(SPINNING)
    return path


@pytest.fixture
def strategies(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(STRATEGY)
    return path


def test_what_is_small_is_searched_completely(explore: Explore) -> None:
    result = explore("store_buffering.c", defines=("FENCE",))

    assert result.verdict is Verdict.HELD
    assert result.complete
    assert result.classes == 3


def test_without_the_fence_a_minimal_schedule_is_shown(explore: Explore) -> None:
    result = explore("store_buffering.c")

    assert result.verdict is Verdict.VIOLATED
    assert result.kinds == [Kind.CLAIM]
    assert result.interventions <= 1
    assert len(result.story.flip) == 2
    assert "comes before" in result.story.why[-1]


def test_the_story_tells_what_sits_in_whose_store_buffer(explore: Explore) -> None:
    story = explore("store_buffering.c").story

    reads = {step.text: step for step in story.steps if step.kind == "load" and step.cpu > 0}
    assert reads["reads y = 0"].buffer == ("x = 1",)
    assert reads["reads x = 0"].buffer == ("y = 1",)
    notes = [reads["reads y = 0"].note, reads["reads x = 0"].note]
    assert "CPU 2 is still in its buffer" in notes[0] or "CPU 1 is still in its buffer" in notes[1]
    assert {lane.name for lane in story.lanes} >= {"first()", "second()"}
    assert all(step.place and step.place.file.endswith("store_buffering.c") for step in
               reads.values())  # fmt: skip


@pytest.mark.parametrize("strategy", ["auto", "portfolio", "pct", "dpor", "sleep"])
def test_the_result_is_the_same_with_any_number_of_processes(
    explore: Explore, strategy: str
) -> None:
    results = [
        explore("srcu.c", defines=("MISSING_B",), strategy=strategy, processes=processes, seed=4)
        for processes in (1, 2, 3)
    ]

    for result in results[1:]:
        assert result.story == results[0].story
        assert result.counters == results[0].counters


# How many they are is what test_counts.py has of the whole.
@pytest.mark.parametrize(
    ("strategy", "times", "classes"),
    [("sleep", 2, 7_134), ("dpor", 2, 7_134), ("dpor", 3, 1_824_912)],
)
def test_in_parts_the_classes_are_those_of_the_whole(
    explore: Explore, strategy: str, times: int, classes: int
) -> None:
    def counted(processes: int) -> Explored:
        return explore("counters.c", defines=("THREADS=3", f"TIMES={times}"), strategy=strategy,
                       runs=0, processes=processes)  # fmt: skip

    parts = counted(2)

    assert parts.complete
    assert parts.classes == classes
    if classes < 1_000_000:
        assert parts.counters == counted(1).counters


def test_a_run_that_does_not_end_is_unknown_and_never_held(
    explore: Explore, spinning: Path
) -> None:
    result = explore(spinning, max_steps=500, runs=2000)

    assert result.verdict is Verdict.UNKNOWN
    assert "did not end within 500 operations: raise --max-steps" in result.summary.reason


def test_an_exhaustive_search_that_was_cut_short_is_unknown(explore: Explore) -> None:
    result = explore("counters.c", strategy="sleep", runs=10)

    assert result.verdict is Verdict.UNKNOWN
    assert not result.complete


def test_a_preemption_bound_is_said(explore: Explore) -> None:
    result = explore("counters.c", strategy="dpor", preemption_bound=1, runs=0)

    assert result.summary.searched is not None
    assert result.summary.searched.bounds[0].startswith("at most 1 preemptions")
    assert result.complete


def test_all_findings_are_counted_if_asked_for(explore: Explore) -> None:
    result = explore("store_buffering.c", strategy="random", runs=1000, all_findings=True)

    assert result.executions == 1000
    assert result.finding.count == result.counters["failed"] > 100


def test_sequential_consistency_has_no_store_buffering(explore: Explore) -> None:
    assert explore("store_buffering.c", buffer=0).verdict is Verdict.HELD


def test_a_self_check_compares_runs_with_their_replays(explore: Explore) -> None:
    result = explore("srcu.c", strategy="portfolio", check=True, runs=4096)

    assert result.verdict is Verdict.HELD
    assert result.counters["runs replayed and compared"] >= 4096 / 256


def test_a_run_that_passes_can_be_shown(explore: Explore) -> None:
    passing = explore("message_passing.c", show_pass=True).summary.passing

    assert passing is not None
    assert {step.kind for step in passing.steps} >= {"load", "store"}


def test_a_strategy_in_python_chooses(explore: Explore, strategies: Path) -> None:
    verdicts = {
        name: explore(
            "store_buffering.c", strategy=name, runs=1, choose=load_strategy(f"{strategies}:{name}")
        ).verdict
        for name in ("lowest", "highest")
    }

    # CPUs before drains, and then drains before CPUs.
    assert verdicts == {"lowest": Verdict.VIOLATED, "highest": Verdict.HELD}


@pytest.mark.parametrize(
    ("function", "told"),
    [
        ("nobody", "it returned 99, which is not among the agents"),
        ("broken", "TypeError: .*, asked about agents"),
        ("missing", "has no function missing"),
    ],
)
def test_what_is_wrong_with_a_strategy_is_told(
    explore: Explore, strategies: Path, function: str, told: str
) -> None:
    with pytest.raises(StrategyError, match=told):
        explore("store_buffering.c", choose=load_strategy(f"{strategies}:{function}"))


def test_the_compiler_s_errors_are_shown_as_it_wrote_them(
    explore: Explore, tmp_path: Path
) -> None:
    path = tmp_path / "wrong.c"
    path.write_text("int main(void)\n{\n\treturn nowhere;\n}\n")

    with pytest.raises(BuildError, match=r"wrong\.c:3:\d+: error: .nowhere. undeclared"):
        explore(path)


def test_an_explorer_that_is_killed_is_an_error_and_no_verdict(spinning: Path) -> None:
    options = ExploreOptions(SearchOptions(seed=1))
    with opened(find_target(str(spinning)), options) as (_, pool):
        explorer = pool.one()
        explorer.start(Job("search", "random", runs=2**40, max_steps=1000, buffer=8))
        os.kill(explorer.pid, signal.SIGKILL)
        with pytest.raises(ExplorerLost, match=r"was killed by SIGKILL after .* no verdict"):
            _until_lost(pool)


def _until_lost(pool: Pool) -> None:
    deadline = time.monotonic() + 30
    explorer = next(one for one in pool.explorers if one.job is not None)
    while explorer.result() is None:
        assert time.monotonic() < deadline


def test_explorers_end_with_who_started_them(spinning: Path) -> None:
    options = ExploreOptions(SearchOptions(seed=1))
    with opened(find_target(str(spinning)), options) as (_, pool):
        explorer = pool.one()
        explorer.start(Job("search", "random", runs=2**40, max_steps=1000, buffer=8))

    with pytest.raises(ProcessLookupError):
        os.kill(explorer.pid, 0)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("nowhere.c", r"nowhere\.c: no such C file"),
        ("store_bufering", "did you mean store_buffering"),
        ("kprobe_storm", "a harness of the real machine"),
    ],
)
def test_what_cannot_be_explored_is_told(given: str, told: str) -> None:
    with pytest.raises(TargetError, match=told):
        find_target(given)


def test_the_claim_of_a_file_is_the_first_sentence_of_its_comment(tmp_path: Path) -> None:
    path = tmp_path / "x.c"
    path.write_text("// SPDX\n/*\n * what is put comes\n * out again. More.\n *\n * Else.\n */\n")
    assert claim_of(path) == "What is put comes out again."

    path.write_text("int main(void) { return 0; }\n")
    assert claim_of(path) == "No schedule of x.c fails."
