"""Reports show the source as it was built."""

from pathlib import Path

from testbed.paths import project_root
from testbed.report.sources import source_reader

NAME = "shm_layout/ring.h"


def test_lines_are_those_of_the_project() -> None:
    with source_reader() as read:
        assert read(NAME) == (project_root() / NAME).read_text().splitlines()
        assert read("workers/kernel/no_such_file.c") is None


def test_a_file_outside_of_the_project_is_read_by_its_own_path(tmp_path: Path) -> None:
    mine = tmp_path / "mine.c"
    mine.write_text("int x;\n")

    with source_reader() as read:
        assert read(str(mine)) == ["int x;"]


def test_lines_of_a_patched_core_are_the_patched_ones(tmp_path: Path) -> None:
    first = (project_root() / NAME).read_text().splitlines()[0]
    patch = tmp_path / "one.patch"
    patch.write_text(
        f"--- a/{NAME}\n+++ b/{NAME}\n@@ -1,1 +1,2 @@\n+/* one more line */\n {first}\n"
    )

    with source_reader([patch]) as read:
        lines = read(NAME)

    assert lines is not None
    assert list(lines[:2]) == ["/* one more line */", first]
