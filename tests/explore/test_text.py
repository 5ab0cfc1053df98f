"""Text as CPUs fetch it: what a stale fetch may find, and what is wrong with what is found.

Sets of outcomes are complete ones, the same by each of the exhaustive strategies.
"""

import pytest

from testbed.findings import Kind, Verdict
from tests.explore.conftest import Explore, Explored

EXHAUSTIVE = ("sleep", "dpor", "stateful")

# Of text_stale.c: what was said before, and what was run.
NEITHER, NEW_UNSAID, STALE, NEW = range(4)


def outcomes(result: Explored) -> set[int]:
    """Return what runs came to, of a search that held and left nothing out."""
    assert result.verdict is Verdict.HELD
    assert result.complete
    return set(result.outcomes)


@pytest.mark.parametrize("strategy", EXHAUSTIVE)
def test_a_byte_that_was_written_may_be_fetched_as_it_was(explore: Explore, strategy: str) -> None:
    found = explore("text_stale.c", strategy=strategy)

    assert outcomes(found) == {NEITHER, NEW_UNSAID, STALE, NEW}


@pytest.mark.parametrize("strategy", EXHAUSTIVE)
@pytest.mark.parametrize("between", ["SYNC_CORE", "BREAKPOINT", "INTERRUPT", "ALL_SYNCED"])
def test_who_synchronizes_fetches_what_is_there(
    explore: Explore, strategy: str, between: str
) -> None:
    found = explore("text_stale.c", defines=(between,), strategy=strategy)

    assert outcomes(found) == {NEITHER, NEW_UNSAID, NEW}


@pytest.mark.parametrize("strategy", ["dpor", "portfolio"])
def test_an_instruction_that_is_written_at_once_is_torn(explore: Explore, strategy: str) -> None:
    result = explore("text_replaced.c", defines=("AT_ONCE",), strategy=strategy)

    finding = result.finding
    assert finding.kind is Kind.TORN_INSN
    assert finding.here.stack[0].function == "nop5+0x0"
    assert "task_runner" in [place.function for place in finding.here.stack]
    assert finding.other is not None
    assert "task_writer" in [place.function for place in finding.other.stack]
    assert finding.values["fetched"] != finding.values["there"]
    # The bytes are shown as they were fetched, and not as memory holds them.
    assert finding.text is not None
    at = 2 * (finding.text.ip - finding.text.address)
    fetched = int(finding.values["fetched"]).to_bytes(8, "little")[:5].hex()
    assert finding.text.found[at : at + 10] == fetched
    assert "fetches" in result.story.steps[-1].text


def test_the_protocol_with_a_breakpoint_tears_nothing(explore: Explore) -> None:
    result = explore("text_replaced.c", strategy="portfolio", runs=3000)

    assert result.verdict is Verdict.HELD
    assert set(result.outcomes) == {2, 7}


def test_a_jump_into_an_instruction_is_found(explore: Explore) -> None:
    result = explore("text_replaced.c", defines=("INSIDE",), strategy="portfolio", runs=3000)

    finding = result.finding
    assert finding.kind is Kind.INSIDE_INSN
    assert int(finding.values["text_address"]) == int(finding.values["start"]) + 1


@pytest.mark.parametrize("strategy", ["dpor", "portfolio"])
@pytest.mark.parametrize("defines", [(), ("SLOT",)])
def test_text_that_is_run_after_it_was_given_back_is_found(
    explore: Explore, strategy: str, defines: tuple[str, ...]
) -> None:
    finding = explore("text_freed.c", defines=defines, strategy=strategy, runs=3000).finding

    assert finding.kind is Kind.FREED_TEXT
    assert finding.other is not None
    assert finding.other.stack[0].function == (
        "insn_slot_put" if defines else "text_module_unload"
    )


@pytest.mark.parametrize("defines", [("WRITTEN",), ("WRITTEN", "SLOT")])
def test_text_that_is_written_after_it_was_given_back_is_found(
    explore: Explore, defines: tuple[str, ...]
) -> None:
    finding = explore("text_freed.c", defines=defines, strategy="portfolio", runs=5000).finding

    assert finding.kind is Kind.FREED_TEXT


@pytest.mark.parametrize("defines", [("WAITS",), ("WAITS", "SLOT"), ("WAITS", "SLOT", "WRITTEN")])
def test_text_that_is_given_back_when_nobody_runs_it_is_no_finding(
    explore: Explore, defines: tuple[str, ...]
) -> None:
    result = explore("text_freed.c", defines=defines, strategy="sleep")

    assert result.verdict is Verdict.HELD
    assert result.complete


@pytest.mark.parametrize("strategy", EXHAUSTIVE)
def test_an_interrupt_comes_before_each_instruction_that_is_patched(
    explore: Explore, strategy: str
) -> None:
    found = explore("text_interrupted.c", defines=("BOOSTED",), strategy=strategy)

    # At the breakpoint, at the copy, and at the jump back behind it; or where text is not.
    assert outcomes(found) == {0, 1, 100, 101}


@pytest.mark.parametrize("strategy", EXHAUSTIVE)
@pytest.mark.parametrize("defines", [("PREEMPTED",), ("PREEMPTED", "BOOSTED")])
def test_a_task_that_runs_text_is_preempted(
    explore: Explore, strategy: str, defines: tuple[str, ...]
) -> None:
    found = explore("text_interrupted.c", defines=defines, strategy=strategy, ticks=1)

    assert outcomes(found) == {0, 1}


@pytest.mark.parametrize("strategy", EXHAUSTIVE)
def test_stores_of_text_wait_in_the_buffer(explore: Explore, strategy: str) -> None:
    assert outcomes(explore("text_memory.c", strategy=strategy)) == {0, 1, 2, 3}


@pytest.mark.parametrize("strategy", EXHAUSTIVE)
@pytest.mark.parametrize(("defines", "buffer"), [(("FENCED",), 8), ((), 0)])
def test_with_a_barrier_or_without_buffers_one_of_them_is_seen(
    explore: Explore, strategy: str, defines: tuple[str, ...], buffer: int
) -> None:
    found = explore("text_memory.c", defines=defines, strategy=strategy, buffer=buffer)

    assert outcomes(found) == {1, 2, 3}


@pytest.mark.parametrize(("defines", "signal"), [
    ((), "SIGSEGV"), (("UNKNOWN",), "SIGILL"), (("OUTSIDE",), "SIGSEGV"),
])  # fmt: skip
def test_an_instruction_that_cannot_be_done_is_a_crash_of_the_text(
    explore: Explore, defines: tuple[str, ...], signal: str
) -> None:
    finding = explore("text_crash.c", defines=defines, strategy="sleep").finding

    assert finding.kind is Kind.CRASH
    assert signal in finding.title
    places = [place.function for place in finding.here.stack]
    assert "call_text" in places
    if "OUTSIDE" not in defines:
        assert places[0] == "store_word+0x0"
