"""Records of a stopped machine, made by hand: a use after free, a crash and a deadlock.

The dtypes have the fields of shm_layout that reports read, under the same names; their offsets do
not matter here, because a report reads by name.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from testbed.findings import Environment, Finding, Place, Registers, Summary, Verdict
from testbed.report.addresses import Addresses, TextSpan
from testbed.report.model import Reading, RunFacts

RING_EVENTS = 256
CPUS = 4
PUSH_RBP = 0x1100_0000_0040
OBJECT = 0x1000_00A3_F040
REGISTERS = Registers.__struct_fields__

REGS = np.dtype([(name, "u8") for name in REGISTERS])
SIDE = np.dtype([("cpu", "u4"), ("task", "u4"), ("tsc", "u8"), ("stack", "u8", 12)])
FINDING = np.dtype([
    ("kind", "u4"), ("has_regs", "u4"), ("here", SIDE), ("other", SIDE), ("value", "u8", 6),
    ("regs", REGS), ("bytes_found", "u1", 32), ("bytes_expected", "u1", 32), ("bytes_addr", "u8"),
])
EVENT = np.dtype([("tsc", "u8"), ("type", "u4"), ("task", "u4"), ("a", "u8"), ("b", "u8")])
WAIT = np.dtype([("kind", "u4"), ("object", "u8"), ("value", "u8"), ("since", "u8")])
TASK = np.dtype([
    ("index", "u4"), ("cpu", "u4"), ("state", "u4"), ("class", "u4"), ("name", "S32"),
    ("wait", WAIT),
])
FROZEN = np.dtype([("valid", "u4"), ("task", "u4"), ("regs", REGS), ("stack", "u8", 12)])
CPU = np.dtype([
    ("id", "u4"), ("lost", "u4"), ("frozen", FROZEN),
    ("ring", [("next", "u8"), ("event", EVENT, RING_EVENTS)]),
])
MACHINE = np.dtype([
    ("config", [("cpus", "u4")]), ("nr_findings", "u4"), ("finding", FINDING, 8),
    ("task", TASK, 16), ("cpu", CPU, 8),
])

# A core that never was: one function every 0x100 bytes.
FUNCTIONS = {
    0x401000: ("record_side", "workers/kernel/finding.c", 30),
    0x401100: ("kfree", "workers/kernel/slab.c", 210),
    0x401200: ("storm_unregister", "stress/kprobe_storm.c", 88),
    0x401300: ("counting_pre_handler", "stress/kprobe_storm.c", 41),
    0x401400: ("kprobe_int3_handler", "workers/kernel/kprobes.c", 320),
    0x401500: ("mutex_lock", "workers/kernel/mutex.c", 51),
    0x401600: ("register_kprobe", "workers/kernel/kprobes.c", 512),
    0x401700: ("unregister_kprobe", "workers/kernel/kprobes.c", 633),
    0x401800: ("do_sync_core", "workers/kernel/smp.c", 200),
}
GLOBALS = {0x1000_0000_5000: "text_mutex", 0x1000_0000_5040: "kprobe_mutex"}


class SampleSymbols:
    """Names for the addresses above."""

    def places(self, address: int) -> Sequence[Place]:
        known = FUNCTIONS.get(address & ~0xFF)
        if known is None:
            return ()
        function, file, line = known
        return (Place(function, file, line, address),)

    def data_name(self, address: int) -> str | None:
        return GLOBALS.get(address)


def facts() -> RunFacts:
    """Return a run's facts."""
    return RunFacts(
        harness="kprobe_storm",
        claim="A handler never runs after unregister_kprobe() has returned.",
        seed=8675309,
        options={"cpus": "4", "callers": "8", "armers": "2"},
        command=("testbed", "stress", "kprobe_storm", "--cpus", "4", "--seed", "8675309"),
        version="0.1.0",
        build_id="3f9c01d2a7b4",
        environment=Environment(2, "6.18.0", "3.11.7", "gcc (Debian 12.2.0) 12.2.0"),
        patches=("51-handler-after-unregister.patch",),
    )


def reading() -> Reading:
    """Return how the samples are to be read: 2 cycles per ns, sources of 700 numbered lines."""
    functions = [
        TextSpan(PUSH_RBP, 0x20, "push_rbp", "assembled"),
        TextSpan(PUSH_RBP + 0x20, 0x1000, "deflate", "libz.so.1"),
    ]
    lines = [f"\tline_{number}(<&>);" for number in range(1, 701)]
    return Reading(
        Addresses(SampleSymbols(), functions), 2.0, 10_000_000_000,
        lambda file: lines if file.endswith(".c") else None,
    )


def machine() -> Any:
    """Return a machine with tasks, events and frozen CPUs, but no finding yet."""
    made = np.zeros((), MACHINE)
    made["config"]["cpus"] = CPUS
    for index, name in enumerate(("idle/0", "storm/1", "arm/0", "arm/1")):
        made["task"][index] = (index, index, 1, int(index > 0), name.encode(), (0, 0, 0, 0))
    for number in range(CPUS):
        fill_ring(made["cpu"][number]["ring"], number)
        frozen = made["cpu"][number]["frozen"]
        frozen["valid"], frozen["task"] = 1, number
        frozen["regs"]["ip"] = 0x401600
        frozen["stack"][:3] = (0x401600, 0x401701, 0x401211)
    return made


def fill_ring(ring: Any, number: int) -> None:
    """Leave 60 events, 1 us apart: a cross call and a poke in turn, and an irq on CPU 1."""
    for place in range(60):
        tsc = 1_000_000 + place * 2000 + number * 130
        kinds = ((2, 1, 1), (1, 1, 0x401801), (11, PUSH_RBP, 0xCC), (12, PUSH_RBP, 2))
        kind, a, b = kinds[(place + number) % 4]
        if kind == 2:
            a = (number + 1) % CPUS
        ring["event"][place] = (tsc, kind, number, a, b)
    ring["next"] = 60


def use_after_free() -> Any:
    """Return a machine where CPU 1 used what CPU 0 had freed 20 us before."""
    made = machine()
    record = add_finding(made, 2, (OBJECT, 64))
    record["here"]["cpu"], record["here"]["task"], record["here"]["tsc"] = 1, 1, 1_120_000
    record["here"]["stack"][:4] = (0x401011, 0x401311, 0x401411, PUSH_RBP + 4)
    record["other"]["cpu"], record["other"]["task"], record["other"]["tsc"] = 0, 2, 1_080_000
    record["other"]["stack"][:3] = (0x401011, 0x401111, 0x401211)
    return made


def crash() -> Any:
    """Return a machine where CPU 2 executed a torn instruction."""
    made = machine()
    record = add_finding(made, 7, (4, PUSH_RBP + 8, 6, 0))
    record["here"]["cpu"], record["here"]["task"], record["here"]["tsc"] = 2, 2, 1_120_500
    record["here"]["stack"][:2] = (PUSH_RBP + 8, 0x401211)
    record["has_regs"] = 1
    record["regs"]["ip"], record["regs"]["ax"] = PUSH_RBP + 8, 0xDEADBEEF00000001
    record["bytes_addr"] = PUSH_RBP
    record["bytes_expected"] = np.arange(32)
    record["bytes_found"] = np.arange(32)
    record["bytes_found"][8:11] = (0xCC, 0x0F, 0x0B)
    return made


def deadlock() -> Any:
    """Return a machine where arm/0 and arm/1 hold each other's mutex and CPU 3 is lost."""
    made = machine()
    record = add_finding(made, 19, (2, 1, 0x1000_0000_5000, 2))
    record["here"]["cpu"], record["here"]["task"], record["here"]["tsc"] = 2, 2, 1_120_500
    record["here"]["stack"][:3] = (0x401511, 0x401611, 0x401211)
    since = 7_500_000_000
    made["task"][2]["wait"] = (1, 0x1000_0000_5000, 3 + 1, since)
    made["task"][3]["wait"] = (1, 0x1000_0000_5040, 2 + 1, since + 1_000_000)
    made["task"][1]["wait"] = (4, OBJECT, 0b1001, since)
    made["cpu"][3]["frozen"]["valid"] = 0
    made["cpu"][3]["lost"] = 1
    return made


def add_finding(made: Any, kind: int, values: tuple[int, ...]) -> Any:
    """Claim the next place for a finding and return its record."""
    place = int(made["nr_findings"])
    made["nr_findings"] = place + 1
    record = made["finding"][place]
    record["kind"] = kind
    record["value"][: len(values)] = values
    return record


def held_run(findings: tuple[Finding, ...] = ()) -> Summary:
    """Return a run that held, or that was violated by `findings`."""
    run = facts()
    return Summary(
        verdict=Verdict.VIOLATED if findings else Verdict.HELD,
        harness=run.harness,
        claim=run.claim,
        seed=run.seed,
        options=run.options,
        command=run.command,
        version=run.version,
        build_id=run.build_id,
        started="2026-11-21T11:30:00Z",
        duration_s=60.25,
        counters={"probed calls": 1_234_567, "register/unregister pairs": 10_433},
        findings=findings,
        environment=run.environment,
    )
