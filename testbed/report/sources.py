"""The source lines that a report shows: of the project as it was built, so with its patches."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from testbed.patches import copy_with_patches
from testbed.paths import project_root
from testbed.report.model import ReadSource


@contextmanager
def source_reader(patches: Sequence[Path] = ()) -> Iterator[ReadSource]:
    """Give what reads a source file by its name in the debug information.

    Findings must be read while the context lasts: a patched copy is gone afterwards.

    Args:
        patches: those that the core was built with, in order.

    Raises:
        PatchError: they no longer apply.
    """
    if not patches:
        yield _reader(project_root())
        return
    with tempfile.TemporaryDirectory(prefix="testbed-sources-") as folder:
        copy_with_patches(project_root(), patches, Path(folder))
        yield _reader(Path(folder))


def _reader(root: Path) -> ReadSource:
    @cache
    def read(name: str) -> Sequence[str] | None:
        try:
            # An absolute name stays what it is: a user's file outside of the project.
            return (root / name).read_text(errors="replace").splitlines()
        except OSError:
            return None

    return read
