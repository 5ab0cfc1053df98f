"""A process of ours that runs a core, seen from Python: start, hear, end, leave nothing.

It leads a session of its own, which its children stay in: the CPUs of a coordinator. So whatever
became of it, one signal to that process group ends all that is left.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from testbed.errors import MachineUnable

# How long a coordinator that was asked to end may take, and what was killed to be gone, s.
END_PATIENCE = 3.0
KILL_PATIENCE = 2.0


class CoreProcess:
    """A running core, with a pipe to it and one from it.

    Args:
        path: the core.
        memfds: the memory that it maps, filled in; -1 stands for one that it does without.
        quiet: what it writes to stderr is thrown away.

    Raises:
        MachineUnable: the core cannot be run.
    """

    # Written before the pipe is closed, to who needs a word for it.
    farewell = b""

    def __init__(self, path: Path, *memfds: int, quiet: bool = False) -> None:
        self._owner = os.getpid()
        control, self._control = os.pipe2(os.O_CLOEXEC)
        self._status, status = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(status, True)
        try:
            self._process = self._start(path, memfds, control, status, quiet)
        except BaseException:
            os.close(self._control)
            os.close(self._status)
            raise
        finally:
            os.close(control)
            os.close(status)
        self.pid = self._process.pid
        self._pidfd = os.pidfd_open(self.pid)
        self._poll = select.poll()
        self._poll.register(self._status, select.POLLIN)
        self._poll.register(self._pidfd, select.POLLIN)
        self._patience = END_PATIENCE
        self._ended = False

    @staticmethod
    def _start(
        path: Path, memfds: Sequence[int], control: int, status: int, quiet: bool
    ) -> subprocess.Popen[bytes]:
        environment = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
        try:
            return subprocess.Popen(
                [str(path), *map(str, (*memfds, control, status))],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL if quiet else None,
                pass_fds=(*(memfd for memfd in memfds if memfd >= 0), control, status),
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise MachineUnable(
                f"{path}: does not run: {error.strerror}: if its folder is mounted noexec, "
                "set XDG_CACHE_HOME to a folder that is not"
            ) from error

    def hear(self, seconds: float) -> bytes:
        """Return what it says within that time, at the latest when it has ended; b"" = nothing."""
        self._poll.poll(max(0.0, seconds) * 1000)
        with suppress(BlockingIOError):
            return os.read(self._status, 4096)
        return b""

    def descriptors(self) -> tuple[int, int]:
        """Return what can be read when it says something, and when it has ended."""
        return self._status, self._pidfd

    def ask(self) -> None:
        """Make it look at what was asked of it."""
        with suppress(BrokenPipeError):
            os.write(self._control, b"r")

    def give_up(self) -> None:
        """Expect no answer any more: `end` will not wait for one."""
        self._patience = 0.0

    def exit_text(self) -> str | None:
        """Return how it ended, as part of a sentence; None if it has not."""
        if self._ended:
            return "was ended"
        found = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is None:
            return None
        if found.si_code == os.CLD_EXITED:
            return f"ended with status {found.si_status}"
        return f"was killed by {signal_name(found.si_status)}"

    def end(self) -> None:
        """End it and its children, and wait until they are gone. May be called twice."""
        if self._ended or os.getpid() != self._owner:
            return  # After a fork the child has copies of the pipes, and no say.
        self._ended = True
        try:
            with suppress(BrokenPipeError):
                os.write(self._control, self.farewell)
            os.close(self._control)
            self._wait(self._patience)
        finally:
            # It may be stopped, or have left children behind. Its pid is ours until it is reaped.
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
            self._wait_for_group(KILL_PATIENCE)
            os.close(self._pidfd)
            os.close(self._status)

    def _wait(self, seconds: float) -> None:
        ended = select.poll()
        ended.register(self._pidfd, select.POLLIN)
        ended.poll(seconds * 1000)

    def _wait_for_group(self, seconds: float) -> None:
        """Wait for children that outlived it; only a parent like init sees them end."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with suppress(ChildProcessError):
                os.waitid(os.P_PGID, self.pid, os.WEXITED | os.WNOHANG)
            try:
                os.killpg(self.pid, 0)
            except ProcessLookupError:
                return
            time.sleep(0.001)


class Coordinator(CoreProcess):
    """The coordinator of a machine, whose CPUs are its children."""

    farewell = b"q"


def signal_name(number: int) -> str:
    """Return ``SIGKILL`` for 9; the number as text if it has no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
