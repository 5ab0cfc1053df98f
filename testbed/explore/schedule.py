"""Schedules as values: what a run did that was not the default, as text and back.

``1:1@5c2,1@7d1``: where CPU 1 was about to do its operation 5, CPU 2 went instead; before its
operation 7, the oldest store of CPU 1 reached memory; ``1@7d1*3``: the three oldest. The 1 before
the colon is the version of this way to write it. ``1@5p2``: when CPU 1 had begun 5 operations, a
choice of data was its option 2. An empty list, ``1:``, is the default schedule.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from testbed.errors import TestbedError

VERSION = 1

# shm_layout/explore.h: AGENT_CPU, AGENT_DRAIN, AGENT_IRQ, AGENT_TICK of each CPU.
CPUS = 16
KINDS = "cdit"
NOBODY = 255

# PICK(n) and MAX_PICKS there: an option of data in the place of an agent.
PICK = "p"
FIRST_PICK = 64
OPTIONS = 64

PART = re.compile(rf"(\d+|n)@(\d+)([{KINDS}{PICK}])(\d+)(?:\*(\d+))?")
MAX_TIMES = 65536


class ScheduleError(TestbedError):
    """A text or file is no schedule."""


class Intervention(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One choice that is not the default.

    Attributes:
        cpu: the CPU that would have gone on; 255 = none could have.
        event: how many operations it had done; of nobody: how many such choices there were.
        agent: who went instead: ``kind * 16 + cpu``; 64 + n: the CPU took option n of data.
    """

    cpu: int
    event: int
    agent: int

    def __str__(self) -> str:
        cpu = "n" if self.cpu == NOBODY else str(self.cpu)
        what = (
            f"{PICK}{self.option}" if self.option is not None else
            f"{KINDS[self.agent // CPUS]}{self.agent % CPUS}"
        )
        return f"{cpu}@{self.event}{what}"

    @property
    def option(self) -> int | None:
        """The option of data that was taken; None: it is about who goes."""
        return self.agent - FIRST_PICK if self.agent >= FIRST_PICK else None


@dataclass(frozen=True)
class Schedule:
    """The interventions of a run, in order."""

    interventions: tuple[Intervention, ...] = ()

    def __str__(self) -> str:
        parts = (f"{one}*{times}" if times > 1 else str(one) for one, times in self.bursts())
        return f"{VERSION}:{','.join(parts)}"

    def __len__(self) -> int:
        return len(self.interventions)

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """Return the schedule that `text` means.

        Raises:
            ScheduleError: it means none.
        """
        version, colon, rest = text.strip().partition(":")
        if not colon or not version.isdigit():
            raise ScheduleError(f"{text}: not a schedule; one looks like 1:1@5c2,1@7d1")
        if int(version) != VERSION:
            raise ScheduleError(
                f"{text}: a schedule of version {version}; this testbed reads version {VERSION}"
            )
        parts = [_parse_part(part, text) for part in rest.split(",") if rest]
        return cls(tuple(one for part in parts for one in part))

    @classmethod
    def of_records(cls, records: NDArray[Any]) -> Schedule:
        """Return the schedule in an array of ``struct intervention``."""
        names = ("cpu", "event", "agent")
        rows = zip(*(records[name].tolist() for name in names), strict=True)
        return cls(tuple(Intervention(*row) for row in rows))

    def records(self, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return it as an array of ``struct intervention``."""
        made = np.zeros(len(self.interventions), dtype)
        for record, one in zip(made, self.interventions, strict=True):
            record["cpu"], record["event"], record["agent"] = one.cpu, one.event, one.agent
        return made

    def told(self) -> list[str]:
        """Return each burst as a sentence."""
        return [_told(one, times) for one, times in self.bursts()]

    def bursts(self) -> list[tuple[Intervention, int]]:
        """Return what goes instead at one place, and how many times in a row."""
        return [(one, len(list(same))) for one, same in itertools.groupby(self.interventions)]


def _parse_part(part: str, text: str) -> list[Intervention]:
    found = PART.fullmatch(part)
    if found is None:
        raise ScheduleError(
            f"{text}: what does {part!r} mean? A choice looks like 1@5c2 (CPU), 1@7d1 (drain), "
            "1@9i0 (interrupt), 1@9t0 (timer) or 1@5p2 (option), with *3 behind it three times"
        )
    cpu = NOBODY if found[1] == "n" else int(found[1])
    times = int(found[5] or 1)
    most, first = (
        (OPTIONS, FIRST_PICK) if found[3] == PICK else (CPUS, KINDS.index(found[3]) * CPUS)
    )
    ranges = (cpu < CPUS or found[1] == "n", int(found[4]) < most, int(found[2]) < 2**32,
              1 <= times <= MAX_TIMES)  # fmt: skip
    if not all(ranges):
        raise ScheduleError(
            f"{text}: {part} is out of range; there are {CPUS} CPUs and {OPTIONS} options at most"
        )
    agent = first + int(found[4])
    return [Intervention(cpu, int(found[2]), agent)] * times


def _told(one: Intervention, times: int) -> str:
    if one.option is not None:
        times_told = "" if times == 1 else f" {times} times"
        return (
            f"after {one.event} operations, CPU {one.cpu} takes option {one.option} of its data"
            f"{times_told}"
        )
    cpu = one.agent % CPUS
    stores = "oldest store" if times == 1 else f"{times} oldest stores"
    often = "" if times == 1 else f" {times} times"
    what = (
        f"CPU {cpu} runs{often}",
        f"the {stores} of CPU {cpu} {'reaches' if times == 1 else 'reach'} memory",
        f"CPU {cpu} takes an interrupt{often}",
        f"the timer of CPU {cpu}, a device or an NMI interrupts{often}",
    )[one.agent // CPUS]
    if one.cpu == NOBODY:
        return f"when no CPU can go on (time {one.event}), {what}"
    return f"before operation {one.event} of CPU {one.cpu}, {what}"


class ScheduleFile(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="document", tag="schedule",
    forbid_unknown_fields=True,
):  # fmt: skip
    """All that is needed to do a run again, and to tell whether it was the same one.

    Attributes:
        target: what was explored, as the command line names it.
        build_id: identity of the core that ran.
        seed: of the search that found it.
        options: of the search, as the command line has them.
        strategy: that found it.
        interventions: of the run.
        checkpoints: hash of what had happened, at every 64th choice.
        end: how the run ended, as in ``enum run_end``.
        signature: of the finding that the run ended with; 0 = none.
        command: argv that replays it.
    """

    format: Literal[1] = 1
    version: str
    target: str
    build_id: str
    seed: int
    strategy: str
    options: tuple[str, ...]
    interventions: tuple[Intervention, ...]
    checkpoints: tuple[int, ...] = ()
    end: str = ""
    signature: int = 0
    command: tuple[str, ...] = ()

    @property
    def schedule(self) -> Schedule:
        """The interventions as a schedule."""
        return Schedule(self.interventions)


def encode(document: ScheduleFile) -> bytes:
    """Return `document` as JSON."""
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def decode(data: bytes, name: str = "schedule") -> ScheduleFile:
    """Return the schedule file in `data`; `name` is what to call it in an error.

    Raises:
        ScheduleError: it is not one.
    """
    try:
        return msgspec.json.decode(data, type=ScheduleFile)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ScheduleError(f"{name}: not a schedule of this testbed: {error}") from error
