"""The gallery shows what today's testbed writes, and nothing of the machine that it was made on."""

import re
import shlex
from pathlib import Path

import pytest

from testbed.cli import run as command_line
from testbed.findings import Finding
from testbed.harness import stress_folder
from testbed.paths import project_root
from testbed.runs import read_report

GALLERY = project_root() / "reports" / "gallery"
REPORTS = sorted(GALLERY.glob("*.json"))
ROW = re.compile(r"^\| `([\w-]+)` \| `testbed (.+)` \|$", re.MULTILINE)
COMMANDS = {name: shlex.split(command) for name, command in
            ROW.findall((GALLERY / "README.md").read_text())}  # fmt: skip


def finding_of(name: str) -> Finding:
    found = read_report(GALLERY / f"{name}.json")
    assert isinstance(found, Finding)
    return found


def test_every_report_has_a_command_and_every_command_a_report() -> None:
    assert REPORTS
    assert sorted(COMMANDS) == [report.stem for report in REPORTS]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_report_of_the_gallery_can_be_read(name: str) -> None:
    finding = finding_of(name)
    page = (GALLERY / f"{name}.html").read_text()

    assert finding.sentence
    assert finding.signature in page
    assert not any(word.startswith("/") for word in finding.command)
    assert not re.search(r"/(?:tmp|home|root|work)/", page)


@pytest.mark.parametrize("name", [one for one in COMMANDS if COMMANDS[one][0] == "zoo"])
def test_a_report_of_the_zoo_is_of_its_bug(name: str) -> None:
    assert COMMANDS[name] == ["zoo", "--real", name]
    assert finding_of(name).patches == (f"{name}.patch",)
    assert (stress_folder() / "zoo" / f"{name}.patch").is_file()


@pytest.mark.parametrize("name", [one for one in COMMANDS if COMMANDS[one][0] == "explore"])
def test_a_report_of_the_explorer_is_made_again_by_its_command(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project_root())
    status = command_line([*COMMANDS[name], "--runs", str(tmp_path)])

    assert status == 1
    made = {path.stem for path in tmp_path.glob("*/findings/*.schedule")}
    assert made == {finding_of(name).signature}
