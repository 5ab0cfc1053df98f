"""Tokens for cores, shared by the processes of a session: who would use a core takes one first.

A token is a lock on a file, so those of a process that is killed are free at once. Whoever waits
for tokens holds none, and only one process at a time looks for them: the others sleep behind it.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# How often the one that is next looks for free tokens, s.
LOOK_S = 0.02


class TokenPool:
    """The tokens of a session.

    Args:
        folder: the same one for all its processes; made if it is not there.
        size: how many tokens there are.
    """

    def __init__(self, folder: Path, size: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.size = folder, size
        self._held: dict[int, int] = {}

    @contextmanager
    def taken(self, count: int) -> Iterator[int]:
        """Hold `count` tokens, or all if there are fewer; give how many they are.

        Who holds some already gets only what is free, perhaps none: waiting for more while holding
        some is how processes wait for each other for ever.
        """
        wanted = min(count, self.size)
        mine = self._try(wanted) if self._held else self._wait(wanted)
        try:
            yield len(mine)
        finally:
            self._give(mine)

    def free(self) -> int:
        """Return how many tokens nobody holds now."""
        mine = self._try(self.size)
        self._give(mine)
        return len(mine)

    def _wait(self, wanted: int) -> list[int]:
        gate = self._open("gate")
        try:
            fcntl.flock(gate, fcntl.LOCK_EX)
            mine: list[int] = []
            while len(mine) < wanted:
                mine += self._try(wanted - len(mine))
                if len(mine) < wanted:
                    time.sleep(LOOK_S)
            return mine
        except BaseException:
            self._give(list(self._held))
            raise
        finally:
            os.close(gate)

    def _try(self, wanted: int) -> list[int]:
        """Take up to `wanted` tokens that are free now."""
        mine: list[int] = []
        for number in range(self.size):
            if len(mine) == wanted:
                break
            if number in self._held:
                continue
            token = self._open(f"token{number}")
            with suppress(BlockingIOError):
                fcntl.flock(token, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._held[number] = token
                mine.append(number)
            if number not in self._held:
                os.close(token)
        return mine

    def _give(self, numbers: list[int]) -> None:
        for number in numbers:
            os.close(self._held.pop(number))

    def _open(self, name: str) -> int:
        return os.open(self.folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
