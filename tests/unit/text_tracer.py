"""Run text functions one instruction at a time and print where each went: a program of its own.

It forks a child that runs nothing but text, so it must not be called in a process with threads.
Arguments: one of the words in `MODES`. Prints one JSON list; exits with 77 where tracing is not
allowed.
"""

import ctypes
import json
import os
import signal
import sys
from collections.abc import Iterable, Iterator

from testbed.machine_code import libc
from testbed.text.image import Image, build_image
from testbed.text.model import TextFunction
from tests.unit.text_native import ZLIB_IMPORTS, Native, libc_imports, mapped

TRACEME, POKEDATA, SINGLESTEP = 0, 5, 9
GETREGS, SETREGS, GETFPREGS, SETFPREGS = 12, 13, 14, 15
NOT_ALLOWED = 77
STACK = 64 << 10
MAX_STEPS = 2_000_000

NAMES = (
    "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi",
    "rdi", "orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs",
    "gs",
)  # fmt: skip
ARGUMENTS = ((0, 0), (5, 9), (2**64 - 1, 1), (2**63, 2**63 - 1), (0x1234_5678, 0xFFFF), (7, 2**60))
XMM_AREA = slice(160, 416)
CARRY = 1


class Registers(ctypes.Structure):
    """struct user_regs_struct."""

    _fields_ = [(name, ctypes.c_uint64) for name in NAMES]


class Tracee:
    """A stopped child that has this process's text and memory as they were."""

    def __init__(self) -> None:
        self.stack = ctypes.create_string_buffer(STACK)
        self.pid = os.fork()
        if self.pid == 0:
            allowed = libc().ptrace(TRACEME, 0, None, None) == 0
            if not allowed:
                os._exit(NOT_ALLOWED)
            os.kill(os.getpid(), signal.SIGSTOP)
            os._exit(1)
        _, status = os.waitpid(self.pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            sys.exit(os.waitstatus_to_exitcode(status))

    def steps(self, address: int, *arguments: int) -> Iterator[Registers]:
        """Call the function at `address`; yield registers before each instruction, and after."""
        registers = self.registers()
        top = (ctypes.addressof(self.stack) + STACK - 256) & -16
        self.request(POKEDATA, top - 8, top)
        registers.rip, registers.rsp, registers.orig_rax = address, top - 8, 2**64 - 1
        registers.rdi, registers.rsi, registers.rdx, *_ = (*arguments, 0, 0)
        self.request(SETREGS, 0, ctypes.addressof(registers))
        for _ in range(MAX_STEPS):
            yield registers
            # Its return address is where its stack starts: nothing that it could run.
            if registers.rip == top:
                return
            self.request(SINGLESTEP, 0, 0)
            _, status = os.waitpid(self.pid, 0)
            if not os.WIFSTOPPED(status) or os.WSTOPSIG(status) != signal.SIGTRAP:
                raise RuntimeError(f"{registers.rip:#x}: ended with status {status:#x}")
            registers = self.registers()
        raise RuntimeError(f"{address:#x}: does not return")

    def registers(self) -> Registers:
        registers = Registers()
        self.request(GETREGS, 0, ctypes.addressof(registers))
        return registers

    def request(self, number: int, address: int, data: int) -> None:
        call = libc().ptrace
        call.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
        call.restype = ctypes.c_long
        if call(number, self.pid, address, data) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def end(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def way(tracee: Tracee, address: int, *arguments: int) -> tuple[list[int], int]:
    """Return the addresses that a call runs, repetitions of one instruction once, and its value."""
    visited: list[int] = []
    value = 0
    for registers in tracee.steps(address, *arguments):
        value = registers.rax
        if not visited or visited[-1] != registers.rip:
            visited.append(registers.rip)
    return visited[:-1], value


def forms(native: Native) -> Iterator[str]:
    """Put each form of each site into text, by turns."""
    yield ""
    for site in native.image.sites:
        for one in site.alternatives:
            with native.patched(site.address, one.data):
                yield f"{site.function}: {one.name}"


def assembled(image: Image) -> Iterator[dict[str, object]]:
    """Trace every callable function in every form."""
    with mapped(image) as native:
        for form in forms(native):
            tracee = Tracee()
            for function in image.functions:
                if function.expected is None:
                    continue
                for pair in ARGUMENTS:
                    visited, value = way(tracee, function.addr, *pair)
                    yield {"function": function.name, "form": form, "pair": pair,
                           "visited": visited, "value": value}  # fmt: skip
            tracee.end()


def library(image: Image) -> Iterator[dict[str, object]]:
    """Trace two checksums of the library; only addresses in text are told."""
    data = ctypes.create_string_buffer(bytes(range(256)) * 3, 768)
    with mapped(image):
        tracee = Tracee()
        for name in ("crc32", "adler32"):
            function = image.function(name)
            visited, value = way(tracee, function.addr, 1, ctypes.addressof(data), 700)
            yield {"function": name, "form": "", "pair": (1, 700),
                   "visited": visited, "value": value}  # fmt: skip
        tracee.end()


def disturbed(image: Image) -> Iterator[dict[str, object]]:
    """Change a little of the state before each instruction in turn."""
    cases = (("red_zone", red_zone), ("flags_chain", carry), ("vector", vectors))
    with mapped(image):
        tracee = Tracee()
        for name, disturb in cases:
            function = image.function(name)
            for step in range(len(image.boundaries(function))):
                value = _disturbed_value(tracee, function, step, disturb)
                yield {"function": name, "form": step, "pair": (3, 4),
                       "visited": [], "value": value}  # fmt: skip
        tracee.end()


def _disturbed_value(tracee: Tracee, function: TextFunction, step: int, disturb: object) -> int:
    value = 0
    for number, registers in enumerate(tracee.steps(function.addr, 3, 4)):
        value = registers.rax
        if number == step:
            assert callable(disturb)
            disturb(tracee, registers)
    return value


def red_zone(tracee: Tracee, registers: Registers) -> None:
    """Push a word, as a trap on the same stack would."""
    tracee.request(POKEDATA, registers.rsp - 8, 0xBAD)


def carry(tracee: Tracee, registers: Registers) -> None:
    """Lose the carry flag's value."""
    registers.eflags ^= CARRY
    tracee.request(SETREGS, 0, ctypes.addressof(registers))


def vectors(tracee: Tracee, _registers: Registers) -> None:
    """Lose what is in vector registers."""
    area = ctypes.create_string_buffer(512)
    tracee.request(GETFPREGS, 0, ctypes.addressof(area))
    filled = bytearray(area.raw)
    filled[XMM_AREA] = bytes([0x5A]) * (XMM_AREA.stop - XMM_AREA.start)
    area.raw = bytes(filled)
    tracee.request(SETFPREGS, 0, ctypes.addressof(area))


MODES = {"assembled": assembled, "library": library, "disturbed": disturbed}


def main() -> None:
    """Print what was asked for."""
    mode = sys.argv[1]
    image = build_image(
        library="libz.so.1" if mode == "library" else None, imports=libc_imports(*ZLIB_IMPORTS)
    )
    found: Iterable[dict[str, object]] = MODES[mode](image)
    print(json.dumps(list(found)))  # noqa: T201


if __name__ == "__main__":
    main()
