"""``testbed zoo`` with the explorer: which bugs it looks for, and what it says of them."""

import json
from pathlib import Path

import pytest

from testbed.cli import run as command_line
from testbed.cli.zoo import outcome, print_results
from testbed.errors import PatchError
from testbed.zoo import ZooError, entries, run, variants_folder, zoo_folder
from testbed.zoo_bugs import missing

# Seen in the first schedules that are tried.
QUICK = "completion-lock-irqs-on"
EXPLORED_ONLY = "cross-call-under-a-lock"
BOTH = "gone-probe-killed-twice"
RIGHT = "poke-tail-byte-by-byte"


def copied(folder: Path, *replaced: tuple[str, str], name: str = EXPLORED_ONLY) -> Path:
    """Return a folder with one bug of the zoo, its patch and description changed."""
    bugs = folder / "bugs"
    bugs.mkdir()
    for suffix in (".patch", ".toml"):
        text = (zoo_folder() / f"{name}{suffix}").read_text()
        for old, new in replaced:
            text = text.replace(old, new)
        (bugs / f"{name}{suffix}").write_text(text)
    return bugs


def test_a_bug_is_explored_and_told_with_the_command_that_shows_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    status = command_line(["zoo", "--virtual", QUICK, "--seed", "1", "--runs", str(tmp_path)])
    table = capsys.readouterr().out

    assert status == 0
    assert "1 of 1 found" in table
    assert f"--patch stress/zoo/{QUICK}.patch --schedule 1:" in table
    assert all(word in table for word in ("executions", "interventions", "virtual", "deadlock"))
    assert "waits for spinlock done.lock, which it holds itself" in next(
        tmp_path.glob("*/findings/*.txt")
    ).read_text()


def test_what_it_tells_is_found_again(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = ["zoo", "--virtual", EXPLORED_ONLY, "--seed", "1", "--runs", str(tmp_path)]
    assert command_line([*arguments, "--json"]) == 0

    (result,) = json.loads(capsys.readouterr().out)
    told = ("virtual", True, "call-under-lock")
    assert (result["machine"], result["found"], result["kind"]) == told
    assert "csd_lock() " in result["here"]
    assert "task_other() " in result["other"]
    assert result["executions"] >= 1
    # That it could deadlock shows in any run.
    assert result["interventions"] == 0
    assert command_line(["replay", result["report"], "--runs", str(tmp_path)]) == 1
    assert command_line([*result["command"][1:], "--runs", str(tmp_path)]) == 1


def test_each_bug_is_looked_for_by_who_can_show_it() -> None:
    virtual = {entry.name for entry in entries(mode="virtual")}
    real = {entry.name for entry in entries(mode="real")}

    assert EXPLORED_ONLY in virtual - real
    assert QUICK in real & virtual
    assert real | virtual == {entry.name for entry in entries()}


def test_without_a_choice_a_bug_for_one_machine_is_looked_for_there(tmp_path: Path) -> None:
    (result,) = run([EXPLORED_ONLY], seed=1, runs=tmp_path)

    assert result.machine == "virtual"
    assert result.found


def test_a_machine_that_cannot_show_a_bug_is_refused(tmp_path: Path) -> None:
    real_only = copied(tmp_path, ('explore = "unload_twice"\n', ""), name=BOTH)
    with pytest.raises(ZooError, match="only the explorer shows it: choose --virtual"):
        run([EXPLORED_ONLY], mode="real")
    with pytest.raises(ZooError, match="only the real machine shows it: choose --real"):
        run([BOTH], mode="virtual", folder=real_only)


def test_a_patch_that_does_not_apply_is_an_error(tmp_path: Path) -> None:
    bugs = copied(tmp_path, ("\n-", "\n-nothing "), ("\n ", "\n no such line "))

    with pytest.raises(PatchError, match="does not apply"):
        run(folder=bugs, runs=tmp_path)


def test_a_bug_whose_mechanism_is_not_there_is_told_with_what_it_needs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bugs = copied(tmp_path, name=QUICK)
    (bugs / "missing.toml").write_text((zoo_folder() / "missing.toml").read_text())
    found, *others = run(folder=bugs, mode="virtual", seed=1, runs=tmp_path)

    assert found.found
    assert {other.name for other in others} == set(missing())
    assert all(other.needs and not other.found and other.as_expected for other in others)
    print_results([found, *others])
    told = capsys.readouterr().out
    assert f"1 of 1 found; {len(others)} more need what is not there yet" in told
    assert "needs jump labels" in told
    with pytest.raises(ZooError, match="it cannot be put back yet: it needs jump labels"):
        entries(["static-key-inc-early-return"])


def test_what_is_missing_is_no_bug_of_the_zoo() -> None:
    assert not missing().keys() & {entry.name for entry in entries()}


def test_a_variant_is_silent(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ["zoo", "--variants", "--virtual", RIGHT, "--seed", "1", "--duration", "1s"]

    assert command_line([*arguments, "--runs", str(tmp_path)]) == 0
    assert "1 of 1 silent" in capsys.readouterr().out


def test_a_finding_of_what_is_right_is_a_false_alarm(tmp_path: Path) -> None:
    bugs = copied(
        tmp_path, ('expected = "found"', 'expected = "held"'), ('kinds = ["bad-state"]', ""),
        name=BOTH,
    )  # fmt: skip
    (result,) = run(folder=bugs, mode="virtual", seed=1, runs=tmp_path)

    assert result.kind == "bad-state"
    assert not result.as_expected
    assert "which is a false alarm" in outcome(result)


def test_what_is_right_has_no_kinds_of_findings(tmp_path: Path) -> None:
    bugs = copied(tmp_path, ('expected = "found"', 'expected = "held"'), name=BOTH)
    with pytest.raises(ZooError, match="what is right has none"):
        entries(folder=bugs)


def test_there_are_at_least_six_variants() -> None:
    assert len(entries(folder=variants_folder())) >= 6


def test_help_says_what_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(["zoo", "--help"]) == 0

    told = capsys.readouterr().out
    assert "--virtual" in told
    assert "--real" in told
    assert "explorer" in told
