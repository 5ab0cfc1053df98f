"""What each detector says about a program is what the program itself expects.

Files of ``detectors`` are programs with pthreads, those of ``kernel_detectors`` use the kernel's
vocabulary. They say it: ``// expect [-D MACRO ...]: held`` or ``: violated KIND``. The form without
a macro is right, and each broken one has its own line.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from testbed.explore.process import Job, Result
from testbed.kinds import Kind
from tests.explore.running import EVERYTHING, exploring_target

FOLDER = Path(__file__).parent
FOLDERS = ("detectors", "kernel_detectors")
EXPECTATION = re.compile(r"^// expect((?: -D [\w=]+)*): (held|violated ([\w-]+))$", re.MULTILINE)

Expected = tuple[str, tuple[str, ...], str]


def programs() -> list[Path]:
    """Return the files of both folders."""
    return [path for folder in FOLDERS for path in sorted((FOLDER / folder).glob("*.c"))]


def name_of(path: Path) -> str:
    """Return a program with its folder."""
    return str(path.relative_to(FOLDER))


def expectations() -> list[Expected]:
    """Return file, macros, and ``held`` or the kind of the finding, of every line."""
    return [
        (name_of(path), tuple(match[1].replace("-D", "").split()), match[3] or match[2])
        for path in programs()
        for match in EXPECTATION.finditer(path.read_text())
    ]


def named(value: object) -> str:
    return " ".join(value) if isinstance(value, tuple) else str(value)


def kind_of(result: Result) -> str:
    """Return what was found, ``held`` if nothing was."""
    return list(Kind)[int(result.finding["kind"]) - 1].value if result.finding else "held"


@pytest.mark.parametrize(("name", "defines", "expected"), expectations(), ids=named)
def test_each_form_is_found_to_be_what_it_is(
    name: str, defines: tuple[str, ...], expected: str
) -> None:
    races = frozenset({"races"})
    with exploring_target(FOLDER / name, *defines) as explorer:
        result = explorer.do(Job("exhaust", "dpor", runs=EVERYTHING, flags=races))

        assert kind_of(result) == expected
        if expected == "held":
            assert result.complete, "the search was cut short, so silence proves nothing"
            assert not result.bounded
            return
        again = explorer.do(
            Job("replay", "replay", schedule=result.schedule, flags=races | {"strict", "show"})
        )
        assert (kind_of(again), again.signature) == (expected, result.signature)
        assert len(again.shown)


def test_every_program_has_a_right_form() -> None:
    right = {name for name, defines, expected in expectations() if not defines}

    assert right == set(map(name_of, programs()))
