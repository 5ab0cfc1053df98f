"""What this machine really lets a process do, tried in a child that may die of it.

``python -m testbed.trials NAME`` runs one trial and writes one line of JSON to stdout.
"""

import ctypes
import fcntl
import json
import mmap
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from testbed.machine_code import (
    MFD_CLOEXEC,
    PROT_EXEC,
    PROT_READ,
    PROT_WRITE,
    executable,
    libc,
    map_file,
)

ARENA_BASE, TEXT_BASE = 0x1000_0000_0000, 0x1100_0000_0000
MAP_FIXED_NOREPLACE = 0x100000
PR_GET_TIMERSLACK, PR_SET_MDWE, MDWE_REFUSE_EXEC_GAIN = 30, 65, 1
MFD_ALLOW_SEALING = 2
F_ADD_SEALS, F_SEAL_SHRINK, F_SEAL_GROW = 1033, 2, 4
SYS_FUTEX, FUTEX_WAIT = 202, 0
TRAPS = 2000
SLEEPS = 20
TIMEOUT_S = 20
# mov ecx, TRAPS; int3; dec ecx; jnz to the int3; ret. At offset 16: ret, the signal handler.
TRAP_LOOP = b"\xb9" + TRAPS.to_bytes(4, "little") + bytes.fromhex("ccffc975fbc3")
HANDLER_OFFSET = 16


@dataclass(frozen=True)
class Trial:
    """How a trial ended: whether it worked, and what was seen, as a phrase."""

    worked: bool
    found: str


class SignalAction(ctypes.Structure):
    """``struct sigaction`` of glibc and musl on x86-64."""

    _fields_ = (
        ("handler", ctypes.c_void_p), ("mask", ctypes.c_ubyte * 128), ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    )


def execute() -> Trial:
    """Run a ``ret`` from a page that is mapped executable here and writable elsewhere."""
    with executable(b"\xc3") as address:
        ctypes.CFUNCTYPE(None)(address)()
    return Trial(True, "a page of a memfd, written at one address, runs at another")


def refuse_exec_gain() -> Trial:
    """Ask the kernel to refuse pages that become executable later, and see that it does."""
    if libc().prctl(PR_SET_MDWE, MDWE_REFUSE_EXEC_GAIN, 0, 0, 0):
        return Trial(False, f"PR_SET_MDWE: {os.strerror(ctypes.get_errno()).lower()}")
    handle = _page()
    writable = map_file(handle, PROT_READ | PROT_WRITE)
    protect = libc().mprotect
    protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    if protect(writable, mmap.PAGESIZE, PROT_READ | PROT_EXEC) == 0:
        return Trial(False, "PR_SET_MDWE is taken and has no effect")
    map_file(handle, PROT_READ | PROT_EXEC)
    return Trial(True, "PR_SET_MDWE refuses a writable page that becomes executable")


def seal() -> Trial:
    """Seal a memfd against shrinking and growing."""
    handle = os.memfd_create("testbed-seal", MFD_CLOEXEC | MFD_ALLOW_SEALING)
    os.ftruncate(handle, mmap.PAGESIZE)
    fcntl.fcntl(handle, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW)
    try:
        os.ftruncate(handle, 0)
    except PermissionError:
        return Trial(True, "a memfd can be sealed against another size")
    return Trial(False, "a sealed memfd still changes its size")


def addresses() -> Trial:
    """Map a page at each of the two fixed addresses of a machine."""
    handle = _page()
    for name, address in (("arena", ARENA_BASE), ("text", TEXT_BASE)):
        got = map_file(handle, PROT_READ, address, MAP_FIXED_NOREPLACE)
        if got != address:
            return Trial(False, f"the address of the {name}, {address:#x}, is taken")
    return Trial(True, f"{ARENA_BASE:#x} and {TEXT_BASE:#x} are free")


def trap() -> Trial:
    """Take many int3 traps as SIGTRAP and say what a round trip costs."""
    code = TRAP_LOOP.ljust(HANDLER_OFFSET, b"\x90") + b"\xc3"
    with executable(code) as address:
        action = SignalAction(handler=address + HANDLER_OFFSET)
        if libc().sigaction(int(signal.SIGTRAP), ctypes.byref(action), None):
            return Trial(False, f"sigaction: {os.strerror(ctypes.get_errno()).lower()}")
        start = time.perf_counter_ns()
        ctypes.CFUNCTYPE(None)(address)()
        each_us = (time.perf_counter_ns() - start) / TRAPS / 1000
    return Trial(True, f"int3 to SIGTRAP and back takes {each_us:.1f} us")


def futex() -> Trial:
    """Wait on a futex that has another value already, which returns at once."""
    word = ctypes.c_uint32(1)
    done = libc().syscall(SYS_FUTEX, ctypes.byref(word), FUTEX_WAIT, 0, None, None, 0)
    error = ctypes.get_errno()
    if done == -1 and error == 11:
        return Trial(True, "futex works")
    return Trial(False, f"futex: {os.strerror(error).lower()}")


def timer() -> Trial:
    """Sleep 100 us some times and say how late the wake-ups are."""
    slack_us = libc().prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0) / 1000
    late = []
    for _ in range(SLEEPS):
        start = time.perf_counter_ns()
        time.sleep(0.0001)
        late.append((time.perf_counter_ns() - start) / 1000 - 100)
    median = sorted(late)[SLEEPS // 2]
    return Trial(median < 1000, f"sleeps end {median:.0f} us late, timer slack {slack_us:.0f} us")


TRIALS: dict[str, Callable[[], Trial]] = {
    "execute": execute, "refuse-exec-gain": refuse_exec_gain, "seal": seal,
    "addresses": addresses, "trap": trap, "futex": futex, "timer": timer,
}


def start(name: str) -> "subprocess.Popen[str]":
    """Start a trial in a child."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    return subprocess.Popen(
        [sys.executable, "-m", "testbed.trials", name],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )


def result(child: "subprocess.Popen[str]") -> Trial:
    """Wait for a trial; one whose child died of it did not work."""
    try:
        output, _ = child.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        return Trial(False, f"did not end within {TIMEOUT_S} s")
    if child.returncode < 0:
        return Trial(False, f"the child was killed by {signal.Signals(-child.returncode).name}")
    try:
        return Trial(**json.loads(output))
    except (ValueError, TypeError):
        return Trial(False, f"the child ended with status {child.returncode}")


def main(name: str) -> None:
    """Run one trial and write how it ended."""
    try:
        trial = TRIALS[name]()
    except OSError as error:
        trial = Trial(False, (error.strerror or str(error)).lower())
    sys.stdout.write(json.dumps(asdict(trial)) + "\n")


def _page() -> int:
    handle = os.memfd_create("testbed-trial", MFD_CLOEXEC)
    os.ftruncate(handle, mmap.PAGESIZE)
    return handle


if __name__ == "__main__":
    main(sys.argv[1])
