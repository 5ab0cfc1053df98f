"""``testbed zoo`` with the explorer: which bugs it looks for, and what it says of them."""

import json
from pathlib import Path

import pytest

from testbed.cli import run as command_line
from testbed.errors import PatchError
from testbed.zoo import ZooError, entries, run, zoo_folder

# Seen in the first schedules that are tried.
QUICK = "completion-lock-irqs-on"
EXPLORED_ONLY = "cross-call-under-a-lock"
REAL_ONLY = "lost-nmissed"


def copied(folder: Path, *replaced: tuple[str, str]) -> Path:
    """Return a folder with one bug of the zoo, its patch changed."""
    bugs = folder / "bugs"
    bugs.mkdir()
    text = (zoo_folder() / f"{EXPLORED_ONLY}.patch").read_text()
    for old, new in replaced:
        text = text.replace(old, new)
    (bugs / f"{EXPLORED_ONLY}.patch").write_text(text)
    (bugs / f"{EXPLORED_ONLY}.toml").write_text(
        (zoo_folder() / f"{EXPLORED_ONLY}.toml").read_text()
    )
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
    assert (result["machine"], result["found"], result["kind"]) == ("virtual", True, "deadlock")
    assert "task_other() " in result["here"]
    assert "wait_for_acks() " in result["other"]
    assert result["executions"] >= 1
    assert result["interventions"] == 1
    assert command_line(["replay", result["report"], "--runs", str(tmp_path)]) == 1
    assert command_line([*result["command"][1:], "--runs", str(tmp_path)]) == 1


def test_each_bug_is_looked_for_by_who_can_show_it() -> None:
    virtual = {entry.name for entry in entries(mode="virtual")}
    real = {entry.name for entry in entries(mode="real")}

    assert EXPLORED_ONLY in virtual - real
    assert REAL_ONLY in real - virtual
    assert QUICK in real & virtual
    assert real | virtual == {entry.name for entry in entries()}


def test_without_a_choice_a_bug_for_one_machine_is_looked_for_there(tmp_path: Path) -> None:
    (result,) = run([EXPLORED_ONLY], seed=1, runs=tmp_path)

    assert result.machine == "virtual"
    assert result.found


def test_a_machine_that_cannot_show_a_bug_is_refused() -> None:
    with pytest.raises(ZooError, match="only the explorer shows it: choose --virtual"):
        run([EXPLORED_ONLY], mode="real")
    with pytest.raises(ZooError, match="only the real machine shows it: choose --real"):
        run([REAL_ONLY], mode="virtual")


def test_a_patch_that_does_not_apply_is_an_error(tmp_path: Path) -> None:
    bugs = copied(tmp_path, ("\n-", "\n-nothing "), ("\n ", "\n no such line "))

    with pytest.raises(PatchError, match="does not apply"):
        run(folder=bugs, runs=tmp_path)


def test_help_says_what_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(["zoo", "--help"]) == 0

    told = capsys.readouterr().out
    assert "--virtual" in told
    assert "--real" in told
    assert "explorer" in told
