"""``testbed stress``: a harness's own options become options of its command, and come back."""

from pathlib import Path
from typing import Any

import click
import pytest

from testbed.cli.stress import first_line, harness_command
from testbed.commands import stress_command, with_command
from testbed.harness import Harness, HarnessError, load
from testbed.paths import found_path, project_root, shown_target
from testbed.report.model import from_machine
from testbed.stress import RunOptions
from tests.unit.report_samples import facts, held_run, reading, use_after_free

HARNESS_FILE = '''"""Callers and armers on the same functions."""

from testbed.harness import Option

OPTIONS = (
    Option("callers", 8, "Tasks that call.", 1, 64),
    Option("fail_arm", 0.0, "Share of failures.", 0.0, 1.0),
    Option("aggregate", True, "Two probes at one address."),
    Option("library", None, "A shared library."),
    Option("lock", "mutex", "What they hold.", choices=("mutex", "rwsem", "busted")),
)


def setup(run):
    pass


def counters(run):
    return {}
'''


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Harness:
    """A harness of a user's own."""
    path = tmp_path_factory.mktemp("mine") / "storm.py"
    path.write_text(HARNESS_FILE)
    return load(str(path))


def parsed(harness: Harness, *arguments: str) -> dict[str, Any]:
    command = harness_command(harness, "storm")
    with command.make_context("storm", list(arguments)) as context:
        values = dict(context.params)
    values.pop("runs")
    values.pop("as_json")
    return values


@pytest.mark.parametrize("arguments", [
    [],
    ["--cpus", "16", "--seed", "5", "--duration", "2m30s"],
    ["--callers", "3", "--fail-arm", "0.25", "--no-aggregate", "--library", "libm.so.6"],
    ["--lock", "busted"],
    ["--pin", "--keep-going", "--poke", "stop_machine", "-j", "2", "--tick-us", "0"],
    ["--preempt", "none"],
])
def test_the_printed_command_means_the_same_run(
    harness: Harness, arguments: list[str]
) -> None:
    values = parsed(harness, *arguments) | {"seed": 77}
    command = stress_command(harness, "storm", values)

    assert command[:3] == ("testbed", "stress", "storm")
    assert parsed(harness, *command[3:]) == values


def test_a_value_that_is_none_of_the_choices_is_refused_wherever_it_comes_from(
    harness: Harness,
) -> None:
    with pytest.raises(HarnessError, match="lock=spin: there are mutex, rwsem, busted"):
        RunOptions.of(harness, parsed(harness) | {"lock": "spin"})


def test_patches_are_part_of_the_command(harness: Harness, tmp_path: Path) -> None:
    patch = tmp_path / "51.patch"
    patch.write_text("")
    values = parsed(harness, "--patch", str(patch), "--seed", "1")
    command = stress_command(harness, "storm", values)

    assert parsed(harness, *command[3:])["patches"] == (patch,)
    assert "patches 51.patch" in first_line("storm", values)


def test_the_command_of_relative_paths_is_one_for_every_folder(
    harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mine.patch", "libmine.so"):
        Path(name).write_text("")
    given = ("--patch", "mine.patch", "--library", "./libmine.so", "--seed", "1")
    command = stress_command(harness, "storm", parsed(harness, *given))

    for name in ("mine.patch", "libmine.so"):
        assert str(tmp_path / name) in command
    assert shown_target("storm.py::one") == f"{tmp_path}/storm.py::one"
    by_soname = parsed(harness, "--library", "libmine.so", "--seed", "1")
    assert "libmine.so" in stress_command(harness, "kprobe_storm", by_soname)
    ours = project_root() / "stress" / "scenarios.py"
    assert shown_target(f"{ours}::one") == "stress/scenarios.py::one"
    assert found_path("stress/scenarios.py").is_file()


def test_the_first_line_has_version_seed_and_options(harness: Harness) -> None:
    line = first_line("storm", parsed(harness, "--seed", "8675309", "--duration", "5m"))

    assert line.startswith("testbed 0.1.0  stress storm  seed 8675309  ")
    assert "  cpus 4  " in line
    assert "  duration 5m  " in line
    assert "  callers 8  " in line


@pytest.mark.parametrize(("arguments", "reason"), [
    (["--callers", "65"], "65 is not in the range 1<=x<=64"),
    (["--lock", "rwsen"], "'rwsen' is not one of 'mutex', 'rwsem', 'busted'"),
    (["--cpus", "99"], "99 is not in the range 1<=x<=64"),
    (["--duration", "soon"], "soon: a duration is more than 0"),
    (["--duration", "0"], "0: a duration is more than 0"),
    (["--calers", "3"], "--callers"),
    (["--patch", "/no/such/file"], "does not exist"),
])
def test_wrong_values_are_refused_before_anything_runs(
    harness: Harness, arguments: list[str], reason: str
) -> None:
    with pytest.raises(click.UsageError) as refused:
        parsed(harness, *arguments)

    assert reason.lower() in refused.value.format_message().lower()


def test_the_help_of_a_harness_shows_its_own_options_first(harness: Harness) -> None:
    command = harness_command(harness, "storm")
    text = command.get_help(click.Context(command, info_name="storm"))

    assert "Callers and armers on the same functions." in text
    assert text.index("--callers") < text.index("--cpus")
    assert "--aggregate / --no-aggregate" in text
    assert "[default: 8" in text
    assert "--lock [mutex|rwsem|busted]" in text


def test_a_finding_is_run_again_by_the_command_of_its_run() -> None:
    finding = next(iter(from_machine(use_after_free(), facts(), reading())))
    command = ("testbed", "stress", "storm", "--seed", "1")

    summary = with_command(held_run((finding,)), command)

    assert summary.command == summary.findings[0].command == command
