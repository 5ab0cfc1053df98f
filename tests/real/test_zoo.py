"""The zoo: its patches apply, its bugs are told right, and a few quick ones are really found.

``testbed zoo`` looks for all of them, which takes minutes.
"""

import json
from pathlib import Path

import pytest

from testbed.cli import run as command_line
from testbed.errors import PatchError
from testbed.patches import copy_with_patches
from testbed.paths import project_root
from testbed.stress import RunOptions
from testbed.zoo import Entry, ZooError, entries, look, run, variants_folder, zoo_folder

ALL = [*entries(mode="real"), *entries(folder=variants_folder(), mode="real")]
SEED = 20_131_021

# How long a bug is looked for here, s: each of those below shows within one.
BUDGET_S = 20.0


def names(entry: Entry) -> str:
    return entry.name


def test_every_patch_has_its_description_and_every_description_its_patch() -> None:
    patches = {path.stem for path in zoo_folder().glob("*.patch")}

    assert patches | {"missing"} == {path.stem for path in zoo_folder().glob("*.toml")}
    assert len(patches) >= 9


@pytest.mark.parametrize("entry", ALL, ids=names)
def test_a_patch_applies_and_its_description_is_complete(entry: Entry, tmp_path: Path) -> None:
    copy_with_patches(project_root(), (entry.patch,), tmp_path)

    options = RunOptions.of(entry.harness, entry.values(cpus=None, seed=1, duration_s=1.0))
    assert options.patches == (entry.patch,)
    assert entry.bug.title
    assert entry.bug.source
    assert bool(entry.bug.kinds) == (entry.bug.expected != "held")
    assert 1 <= entry.bug.cpus <= 64
    assert entry.bug.budget_s > 0


# The two places: a function of each that the report must name.
QUICK = (
    ("unhash-before-disarm", "core", ("disarm_kprobe", "unregister_top")),
    ("lost-nmissed", "judge_misses", ("register_claimed",)),
    ("csd-sync-unlock-before-func", "check_block", ("check_returned",)),
)


@pytest.mark.parametrize(("name", "here", "others"), QUICK, ids=[name for name, *_ in QUICK])
def test_a_quick_bug_is_found_at_its_two_places(
    name: str, here: str, others: tuple[str, ...], tmp_path: Path
) -> None:
    (entry,) = entries([name])
    result = look(entry, BUDGET_S, SEED, tmp_path)

    assert result.found, result
    assert result.kind in entry.bug.kinds
    assert here in result.here
    assert any(other in result.other for other in others), result.other
    assert command_line(["replay", result.report, "--tries", "3", "--runs", str(tmp_path)]) == 1


@pytest.mark.parametrize("name", ["poke-tail-byte-by-byte", "slot-freed-by-callback"])
def test_what_is_unusual_but_right_is_silent(name: str, tmp_path: Path) -> None:
    (entry,) = entries([name], variants_folder())
    result = look(entry, 1.0, SEED, tmp_path)

    assert result.as_expected, result
    assert not result.found


def test_a_finding_of_another_kind_does_not_count(tmp_path: Path) -> None:
    bugs = broken_copy(tmp_path, "lost-nmissed", kinds='kinds = ["leak"]')
    (entry,) = entries(folder=bugs)
    result = look(entry, BUDGET_S, SEED, tmp_path)

    assert not result.found
    assert result.kind == "lost-miss"
    assert result.report


def test_a_patch_that_does_not_apply_is_an_error(tmp_path: Path) -> None:
    bugs = broken_copy(tmp_path, "lost-nmissed", patch=("atomic_inc(&p->nmissed)", "nothing()"))

    with pytest.raises(PatchError, match="does not apply"):
        run(folder=bugs, runs=tmp_path, mode="real")


def test_an_option_that_the_harness_does_not_have_is_an_error(tmp_path: Path) -> None:
    bugs = broken_copy(tmp_path, "lost-nmissed", kinds='kinds = ["lost-miss"]\noptions.shoes = 2')

    with pytest.raises(ZooError, match="kprobe_storm has no option shoes"):
        run(folder=bugs, runs=tmp_path, mode="real")


def broken_copy(
    folder: Path, name: str, kinds: str = "", patch: tuple[str, str] = ("", "")
) -> Path:
    """Return a folder with one bug of the zoo, changed."""
    bugs = folder / "bugs"
    bugs.mkdir()
    told = (zoo_folder() / f"{name}.toml").read_text()
    lines = told.split("\n[options]")[0].splitlines()
    kept = [kinds if kinds and line.startswith("kinds") else line for line in lines]
    (bugs / f"{name}.toml").write_text("\n".join(kept) + "\n")
    text = (zoo_folder() / f"{name}.patch").read_text()
    (bugs / f"{name}.patch").write_text(text.replace(*patch) if patch[0] else text)
    return bugs


def test_a_mistyped_name_is_answered_with_the_nearest_bug() -> None:
    with pytest.raises(ZooError, match="did you mean lost-nmissed"):
        run(["lost-nmised"])


def test_the_command_line_tells_json(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = ["zoo", "--real", "lost-nmissed", "--seed", str(SEED), "--json"]
    status = command_line([*arguments, "--duration", "20s", "--runs", str(tmp_path)])

    (result,) = json.loads(capsys.readouterr().out)
    assert status == 0
    assert result["found"] is True
    assert result["command"][:3] == ["testbed", "stress", "kprobe_storm"]
    assert Path(result["report"]).is_file()
