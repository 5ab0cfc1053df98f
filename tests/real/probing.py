"""Probes as tests use them: a kprobe with its record in a machine's memory, asked for by calls."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from testbed.machine import Machine

EINVAL, ENOENT, EILSEQ, EOPNOTSUPP, EBUSY, EEXIST, ENOMEM, ENOSPC = (
    -22, -2, -84, -95, -16, -17, -12, -28,
)  # fmt: skip

DISABLED, GONE = 2, 1


def put_string(machine: Machine, text: str) -> int:
    """Return the address of `text`, NUL-terminated."""
    data = text.encode() + b"\0"
    address = machine.alloc(len(data))
    machine.view(address, "u8", len(data))[:] = np.frombuffer(data, np.uint8)
    return address


def error_code(machine: Machine, function: str, *args: int) -> int:
    """Return what a C function returns as ``int``: the upper half of its register means nothing."""
    return int(np.uint32(machine.call(function, *args) & 0xFFFF_FFFF).astype(np.int32))


@dataclass
class Probe:
    """One kprobe of a machine; attributes are read and written through."""

    machine: Machine
    address: int
    record_address: int

    @classmethod
    def make(
        cls, machine: Machine, addr: int = 0, handler: str = "count", **fields: int
    ) -> "Probe":
        """Make a kprobe that is not registered, for `handler` of probe_handlers.c."""
        probe = cls(machine, machine.alloc("struct kprobe"), machine.alloc("struct probe_record"))
        if handler:
            name = put_string(machine, handler)
            prepared = machine.call("probe_prepare", probe.address, name, probe.record_address)
            assert prepared == 0
        for name_, value in {"addr": addr, **fields}.items():
            probe.kprobe[name_] = value
        return probe

    @property
    def kprobe(self) -> Any:
        """The struct kprobe, live."""
        return self.machine.view(self.address, "struct kprobe")[0]

    @property
    def record(self) -> Any:
        """The struct probe_record, live."""
        return self.machine.view(self.record_address, "struct probe_record")[0]

    def register(self) -> int:
        """Return what register_kprobe() returns."""
        return error_code(self.machine, "register_kprobe", self.address)

    def unregister(self) -> None:
        """Unregister it, and make it ready for another time: as in Linux it is left disabled."""
        addr = int(self.kprobe["addr"])
        self.machine.call("unregister_kprobe", self.address)
        self.kprobe["addr"], self.kprobe["flags"] = addr, 0

    def disable(self) -> int:
        """Return what disable_kprobe() returns."""
        return error_code(self.machine, "disable_kprobe", self.address)

    def enable(self) -> int:
        """Return what enable_kprobe() returns."""
        return error_code(self.machine, "enable_kprobe", self.address)

    @property
    def hits(self) -> int:
        """How often its pre handler ran."""
        return int(self.record["cpu"]["hits"].sum())

    @property
    def post_hits(self) -> int:
        """How often its post handler ran."""
        return int(self.record["cpu"]["post_hits"].sum())

    @property
    def missed(self) -> int:
        """Hits that it met inside of another handler."""
        return int(self.kprobe["nmissed"])


def array_of(machine: Machine, probes: list[Probe]) -> int:
    """Return the address of an array of pointers to them."""
    address = machine.alloc(8 * len(probes))
    machine.view(address, "u64", len(probes))[:] = [probe.address for probe in probes]
    return address


def registered(machine: Machine) -> int:
    """Return how many probes are registered; everything about them is checked."""
    return machine.call("kprobes_audit")


def assert_pristine(machine: Machine) -> None:
    """No probe is left, no slot is used, and every byte of text is as it was loaded."""
    assert registered(machine) == 0
    assert machine.call("text_audit") == 0
    assert machine.call("insn_slots_used") == 0
    assert machine.call("slab_audit") == 0
    assert len(machine.findings) == 0
