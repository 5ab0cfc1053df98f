"""Every worked example holds in its right form, and each of its bugs is found and told briefly."""

import re
from pathlib import Path

import pytest

from testbed.explore.run import ExploreOptions, explore
from testbed.explore.search import SearchOptions
from testbed.explore.target import find_target
from testbed.findings import Summary, Verdict
from testbed.harness import stress_folder
from testbed.kinds import Kind

EXAMPLES = stress_folder() / "examples"

# What a reader is ready to follow.
MOST_INTERVENTIONS = 6

HELD = [
    ("store_buffering", ""),
    ("kernel_store_buffering", ""),
    ("treiber_stack", ""),
    ("ring_buffer", ""),
    ("seqlock", ""),
    ("srcu", ""),
    ("srcu", "MISSING_D"),
    ("srcu", "MISSING_E"),
    ("on_stack_completion", ""),
]

VIOLATED = [
    ("store_buffering", "MISSING_FENCE", Kind.CLAIM),
    ("kernel_store_buffering", "MISSING_SLEEPER", Kind.CLAIM),
    ("kernel_store_buffering", "MISSING_WAKER", Kind.CLAIM),
    ("treiber_stack", "MISSING_GENERATION", Kind.CLAIM),
    ("ring_buffer", "MISSING_RELEASE", Kind.DATA_RACE),
    ("ring_buffer", "MISSING_ACQUIRE", Kind.DATA_RACE),
    ("ring_buffer", "MISSING_SPACE", Kind.DATA_RACE),
    ("seqlock", "MISSING_RECHECK", Kind.CLAIM),
    ("seqlock", "MISSING_ODD", Kind.CLAIM),
    ("seqlock", "PLAIN_DATA", Kind.DATA_RACE),
    ("srcu", "MISSING_A", Kind.DATA_RACE),
    ("srcu", "MISSING_B", Kind.DATA_RACE),
    ("srcu", "MISSING_C", Kind.DATA_RACE),
    ("on_stack_completion", "PEEK", Kind.USE_AFTER_FREE),
]


def explored(name: str, define: str, races: bool = True) -> Summary:
    options = SearchOptions(seed=1, races=races)
    target = find_target(str(EXAMPLES / f"{name}.c"))
    return explore(target, ExploreOptions(options, defines=(define,) if define else ()))


@pytest.mark.parametrize(("name", "define"), HELD)
def test_the_right_form_holds_in_every_schedule(name: str, define: str) -> None:
    summary = explored(name, define)

    assert summary.findings == ()
    assert summary.verdict is Verdict.HELD
    assert summary.searched is not None
    assert summary.searched.complete, "the search was cut short, so silence proves nothing"


@pytest.mark.parametrize(("name", "define", "kind"), VIOLATED)
def test_each_bug_is_found_and_its_schedule_is_short(name: str, define: str, kind: Kind) -> None:
    summary = explored(name, define)

    assert summary.verdict is Verdict.VIOLATED
    (finding,) = summary.findings
    assert finding.kind is kind
    assert finding.story is not None
    assert len(finding.story.interventions) <= MOST_INTERVENTIONS


# What comes of a data race on x86, when races by themselves do not count.
COMES_OF_IT = {"MISSING_SPACE": Kind.CLAIM, "MISSING_A": Kind.CLAIM, "MISSING_B": Kind.CLAIM}


@pytest.mark.parametrize(
    ("name", "define"), [(n, d) for n, d, kind in VIOLATED if kind is Kind.DATA_RACE]
)
def test_a_data_race_goes_wrong_by_itself_where_the_example_says_so(
    name: str, define: str
) -> None:
    summary = explored(name, define, races=False)

    kinds = [finding.kind for finding in summary.findings]
    assert kinds == ([COMES_OF_IT[define]] if define in COMES_OF_IT else [])
    for finding in summary.findings:
        assert finding.story is not None
        assert len(finding.story.interventions) <= MOST_INTERVENTIONS
    if not kinds:
        assert summary.verdict is Verdict.HELD
        assert summary.searched is not None
        assert summary.searched.complete


def test_the_comment_of_an_example_names_all_its_forms() -> None:
    told = {
        (path.stem, match[1] or "")
        for path in EXAMPLES.glob("*.c")
        for match in re.finditer(
            rf"testbed explore stress/examples/{path.name}(?: -D (\w+))?$",
            path.read_text(),
            re.MULTILINE,
        )
    }

    assert told == {*HELD, *((name, define) for name, define, _ in VIOLATED)}


def test_a_bug_is_a_macro_that_the_example_knows() -> None:
    """A name with a slip of the pen would explore the right form."""
    for name, define, *_ in (*HELD, *VIOLATED):
        text = Path(EXAMPLES / f"{name}.c").read_text()
        assert not define or re.search(rf"^#ifn?def {define}$", text, re.MULTILINE)
