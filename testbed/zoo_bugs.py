"""What is in the zoo: patches that put bugs back, and what is known of each.

``NAME.patch`` breaks the core the way its history had it broken, and ``NAME.toml`` beside it tells
who shows it. ``variants/`` has the opposite: patches that change a mechanism and keep it right, on
which every search has to stay silent. ``missing.toml`` names bugs whose mechanism is not there yet.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import msgspec

from testbed.errors import TestbedError
from testbed.findings import Kind
from testbed.harness import Harness, load, stress_folder

__all__ = [
    "MODES", "Bug", "Entry", "Missing", "Mode", "ZooError", "entries", "missing", "variants_folder",
    "zoo_folder",
]  # fmt: skip

# The machine to look on.
Mode = Literal["real", "virtual"]
MODES: tuple[Mode, ...] = ("real", "virtual")


class ZooError(TestbedError):
    """There is no such bug, or what lies beside its patch cannot be used."""


class Bug(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is known of a bug: ``NAME.toml``.

    Attributes:
        title: one line, what is wrong; of a variant, what it does instead.
        source: where it comes from, as the history of Linux calls it.
        expected: "hard" if a run on real hardware seldom shows it, with `reason`; "held" if
            nothing is wrong at all.
        kinds: kinds of findings that count as found.
        harness: which one shows it on the real machine, "" = none; `options` are its own, by name.
        explore: what shows it to the explorer: a scenario's name, or a C file below ``stress``;
            "" = nothing.
        cpus: of the machine.
        budget_s: for how long it is worth to look, s.
        ticks: timer interrupts of each CPU in one run of the explorer.
        poke, tick_us, hang_ms: options of every run on the real machine.
        preempt: of either machine; "" = as what shows it says.
    """

    title: str
    source: str
    expected: Literal["found", "hard", "held"]
    reason: str = ""
    kinds: tuple[Kind, ...] = ()
    harness: str = ""
    explore: str = ""
    cpus: int
    budget_s: float
    ticks: int = 0
    poke: Literal["int3", "stop_machine"] = "int3"
    preempt: Literal["", "full", "none"] = ""
    tick_us: int = 1000
    hang_ms: int = 10_000
    options: dict[str, int | str] = {}


class Missing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A bug that cannot be put back yet.

    Attributes:
        title, source: as of a `Bug`.
        needs: the mechanism that is not there.
    """

    title: str
    source: str
    needs: str


@dataclass(frozen=True)
class Entry:
    """A bug of the zoo: its patch, and what is known of it."""

    name: str
    patch: Path
    bug: Bug

    @cached_property
    def harness(self) -> Harness:
        """The harness that shows it."""
        return load(self.bug.harness)

    @property
    def explored(self) -> str:
        """What shows it to the explorer, as a command line names it."""
        named = self.bug.explore
        return str(stress_folder() / named) if named.endswith(".c") else named

    def is_for(self, mode: Mode) -> bool:
        """Tell whether that machine can show it."""
        return bool(self.bug.harness if mode == "real" else self.bug.explore)

    def values(self, cpus: int | None, seed: int, duration_s: float) -> dict[str, Any]:
        """Return the options of a run that looks for it, by name, as a command line has them."""
        own = {option.name: option.default for option in self.harness.options}
        unknown = sorted(self.bug.options.keys() - own.keys())
        if unknown:
            raise ZooError(f"{self.name}: {self.bug.harness} has no option {unknown[0]}")
        return {
            **own, **self.bug.options, "cpus": cpus or self.bug.cpus, "seed": seed,
            "duration": duration_s, "poke": self.bug.poke, "tick_us": self.bug.tick_us,
            "preempt": self.bug.preempt or "full",
            "hang_ms": self.bug.hang_ms, "cores": None, "pin": False, "patches": (self.patch,),
            "keep_going": False,
        }  # fmt: skip


def zoo_folder() -> Path:
    """Return the folder of the patches."""
    return stress_folder() / "zoo"


def variants_folder() -> Path:
    """Return the folder of the patches that break nothing."""
    return zoo_folder() / "variants"


def entries(
    names: Sequence[str] = (), folder: Path | None = None, mode: Mode | None = None
) -> list[Entry]:
    """Return the bugs of these names, all of them without one.

    Args:
        names: of bugs.
        folder: where they are; `zoo_folder()` by default.
        mode: those only that this machine can show.

    Raises:
        ZooError: there is none of a name, or one cannot be used.
    """
    folder = (folder or zoo_folder()).resolve()
    known = sorted(path.stem for path in folder.glob("*.patch"))
    for name in names:
        if name not in known:
            absent = missing(folder).get(name)
            if absent is not None:
                raise ZooError(f"{name}: it cannot be put back yet: it needs {absent.needs}")
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
            kind = "bug in the zoo" if folder == zoo_folder().resolve() else f"patch in {folder}"
            raise ZooError(f"{name}: no such {kind}; {hint}")
    found = [_entry(folder / f"{name}.toml") for name in names or known]
    return [entry for entry in found if mode is None or entry.is_for(mode)]


def missing(folder: Path | None = None) -> dict[str, Missing]:
    """Return the bugs that cannot be put back yet, by name; see `entries`."""
    path = (folder or zoo_folder()) / "missing.toml"
    if not path.is_file():
        return {}
    found: dict[str, Missing] = _decoded(path, dict[str, Missing])
    return found


def _entry(path: Path) -> Entry:
    bug: Bug = _decoded(path, Bug)
    if bug.expected == "hard" and not bug.reason:
        raise ZooError(f"{path}: a bug that is hard to find needs a reason")
    if (bug.expected == "held") == bool(bug.kinds):
        raise ZooError(f"{path}: a bug has kinds of findings, and what is right has none")
    if not bug.harness and not bug.explore:
        raise ZooError(f"{path}: a bug needs a harness, or something to explore, that shows it")
    return Entry(path.stem, path.with_suffix(".patch"), bug)


def _decoded(path: Path, kind: Any) -> Any:
    try:
        return msgspec.toml.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise ZooError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    except msgspec.DecodeError as error:
        raise ZooError(f"{path}: {error}") from error
