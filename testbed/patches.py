"""A copy of the project's C sources with patches applied: how a bug of the zoo is put back."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence, Set
from pathlib import Path

from testbed.errors import PatchError

SOURCE_FOLDERS = ("shm_layout", "workers", "stress")

# Whatever a patch may be about: lines that name a file; the first part of a path is left out.
NAMES = re.compile(
    rb"^(?:(?:---|\+\+\+) [^/\t\n]*/|(?:rename|copy) from )([^\t\n]+)", re.MULTILINE
)
# Names that git writes in quotes, and changes of mode only, are left to the copy of everything.
UNUSUAL = re.compile(rb'^(?:(?:---|\+\+\+|rename|copy) .*"|old mode )', re.MULTILINE)


def copy_with_patches(root: Path, patches: Sequence[Path], target: Path) -> None:
    """Copy the source folders of `root` into the empty folder `target` and patch them there.

    What no patch is about are links to what `root` has, whole folders where that can be: a copy of
    everything takes longer than the compiler does.

    Args:
        root: the project's folder.
        patches: unified diffs with one leading path component (``a/workers/...``), in order.
        target: an existing folder of the caller's.

    Raises:
        PatchError: a patch cannot be read or does not apply, or no tool can apply it.
    """
    named = _named(patches)
    folders = [folder for folder in SOURCE_FOLDERS if (root / folder).is_dir()]
    if named is None:
        for folder in folders:
            shutil.copytree(root / folder, target / folder)
    else:
        inside = {parent for name in named for parent in Path(name).parents}
        for folder in folders:
            _link(root / folder, target / folder, root, named, inside)
    for patch in patches:
        _apply(patch.resolve(), target)


def _link(source: Path, copy: Path, root: Path, named: Set[str], inside: Set[Path]) -> None:
    """Make `copy` what `source` is: files of `named` as copies, folders of `inside` as folders."""
    name = source.relative_to(root)
    if str(name) in named:
        shutil.copy2(source, copy)
    elif name not in inside:
        copy.symlink_to(source)
    else:
        copy.mkdir()
        for one in source.iterdir():
            _link(one, copy / one.name, root, named, inside)


def _named(patches: Sequence[Path]) -> set[str] | None:
    """Return the files that patches are about; None if that may be any."""
    found: set[str] = set()
    for patch in patches:
        if not patch.is_file():
            raise PatchError(f"{patch}: no such patch")
        text = patch.read_bytes()
        if UNUSUAL.search(text):
            return None
        found |= {os.fsdecode(name.rstrip(b"\r")) for name in NAMES.findall(text)}
    return found


def _apply(patch: Path, target: Path) -> None:
    # A repository around the target, or a user's settings, must not change what git does.
    environment = os.environ | {
        "GIT_CEILING_DIRECTORIES": str(target.parent),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "LC_ALL": "C",
    }
    environment.pop("GIT_DIR", None)
    environment.pop("GIT_WORK_TREE", None)
    done = subprocess.run(
        [*_tool(), str(patch)],
        check=False,
        cwd=target,
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise PatchError(f"{patch}: does not apply to the sources", done.stdout + done.stderr)


def _tool() -> list[str]:
    git = shutil.which("git")
    if git:
        return [git, "apply", "-p1", "--whitespace=nowarn"]
    patch = shutil.which("patch")
    if patch:
        return [patch, "-p1", "--batch", "--forward", "--fuzz=0", "--input"]
    raise PatchError(
        "no patch tool found (looked for git, patch): install one, for example: apt install patch"
    )
