"""What tests of the pytest plugin share: somebody else's project, tested in its own process.

The plugin is found by its entry point, as it is where this package is installed; a project that is
tested from a checkout gets the same entry point beside it.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from testbed.paths import project_root

# Longer than anything here takes on a busy machine, s.
PATIENCE = 120.0

ENTRY_POINTS = """[pytest11]
testbed = testbed.pytest_plugin
"""
METADATA = """Metadata-Version: 2.1
Name: testbed-checkout
Version: 0
"""


@dataclass(frozen=True)
class Project:
    """Files of somebody else, and what pytest says of them.

    Attributes:
        folder: with the files.
        installed: on the module path.
    """

    folder: Path
    installed: Path

    def write(self, **files: str) -> None:
        """Write files; ``test_mine__py`` is test_mine.py."""
        for name, text in files.items():
            (self.folder / name.replace("__", ".")).write_text(text)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start pytest."""
        path = os.pathsep.join([str(project_root()), str(self.installed)])
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")
        }
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
            cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=environment | {"PYTHONPATH": path, "COLUMNS": "100"}, start_new_session=True,
        )  # fmt: skip

    def test(self, *arguments: str) -> "Tested":
        """Run pytest."""
        process = self.start(*arguments)
        text, _ = process.communicate(timeout=PATIENCE)
        return Tested(text, process.returncode)


@dataclass(frozen=True)
class Tested:
    """How a run of pytest ended: all that it wrote, and its exit status."""

    text: str
    status: int

    def count(self, what: str) -> int:
        """Return how many tests passed, failed, ..."""
        found = re.search(rf"(\d+) {what}", self.text.splitlines()[-1])
        return int(found[1]) if found else 0


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project."""
    installed = tmp_path / "installed"
    (installed / "testbed_checkout-0.dist-info").mkdir(parents=True)
    (installed / "testbed_checkout-0.dist-info" / "entry_points.txt").write_text(ENTRY_POINTS)
    (installed / "testbed_checkout-0.dist-info" / "METADATA").write_text(METADATA)
    folder = tmp_path / "theirs"
    folder.mkdir()
    return Project(folder, installed)
