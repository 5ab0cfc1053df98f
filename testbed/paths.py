"""Where the project's own files are: beside the package in a checkout, inside it in a wheel."""

import os
from functools import cache
from pathlib import Path

from testbed.errors import BuildError


@cache
def project_root() -> Path:
    """Return the folder that holds ``shm_layout``, ``workers``, ``stress`` and ``reports``.

    Raises:
        BuildError: neither a checkout nor a complete installation surrounds this package.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "_project", package.parent):
        if (folder / "shm_layout" / "machine.h").is_file():
            return folder
    raise BuildError(
        f"{package}: the C sources are not beside this package: "
        "install it again, for example: pip install --force-reinstall probe-testbed"
    )


def cache_folder() -> Path:
    """Return the folder for what can always be made again; it need not exist yet."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification: a relative path is to be ignored.
    home = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
    return home / "testbed"


def shown_path(path: Path) -> str:
    """Return a path as commands show it, so that `found_path` finds it from any folder."""
    root = project_root()
    whole = Path(os.path.abspath(path))
    return str(whole.relative_to(root)) if whole.is_relative_to(root) else str(whole)


def shown_target(given: str) -> str:
    """Return a name, ``FILE`` or ``FILE.py::NAME`` in the same way."""
    file, separator, name = given.partition("::")
    if file.endswith((".c", ".py")):
        file = shown_path(found_path(file))
    return f"{file}{separator}{name}"


def found_path(given: str) -> Path:
    """Return the file that a command names: where it is said to be, else there in the project."""
    path, in_project = Path(given), project_root() / given
    return in_project if in_project.is_file() and not path.exists() else path
