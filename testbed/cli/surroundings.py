"""What a command finds around it: standard files closed or full, names that are no text."""

import errno
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

import click

from testbed.errors import NO_SPACE

# Reasons for which what is printed goes nowhere.
UNWRITABLE = (*NO_SPACE, errno.EIO)


def open_standard_files() -> None:
    """Open what the caller has closed, or else the next pipe would be taken for it."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # The lowest number that is free.
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))


def write_nowhere() -> None:
    """Give up stdout, with what it still holds."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def check_utf8(words: Sequence[str]) -> None:
    """Check that names can be written into reports: arguments, and the folders of the run.

    Raises:
        click.UsageError: one cannot.
    """
    for word in (*words, _folder_here(), os.environ.get("TESTBED_RUNS", "")):
        shown = word.encode(errors="surrogateescape").decode(errors="replace")
        if shown != word:
            raise click.UsageError(
                f"{shown}: reports are UTF-8, and this is not; use another name, or if it is, set "
                "LC_ALL=C.UTF-8"
            )


def _folder_here() -> str:
    """Return the folder that this runs in, "" if it is gone."""
    with suppress(FileNotFoundError):
        return os.getcwd()
    return ""
