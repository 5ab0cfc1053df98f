"""The gallery shows what today's testbed writes, and nothing of the machine that it was made on."""

from pathlib import Path

import pytest

from testbed.findings import Finding
from testbed.harness import stress_folder
from testbed.paths import project_root
from testbed.runs import read_report

GALLERY = project_root() / "reports" / "gallery"
REPORTS = sorted(GALLERY.glob("*.json"))


def test_the_gallery_is_not_empty() -> None:
    assert REPORTS


@pytest.mark.parametrize("report", REPORTS, ids=lambda path: path.stem)
def test_a_report_of_the_gallery_is_of_a_bug_of_the_zoo_and_can_be_read(report: Path) -> None:
    finding = read_report(report)

    assert isinstance(finding, Finding)
    assert finding.patches == (f"{report.stem}.patch",)
    assert (stress_folder() / "zoo" / f"{report.stem}.patch").is_file()
    assert report.with_suffix(".html").is_file()
    assert not any(word.startswith("/") for word in finding.command)
