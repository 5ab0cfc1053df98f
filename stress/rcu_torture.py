"""Grace periods are long enough, and end: no reader ever holds what is older than one of them.

A writer replaces an element; what it removed moves one place on in a pipe with each grace period.
Readers stay in sections of every kind, in tasks and in interrupts, and look at their end how far
their element is by then: further than the first place is a grace period that did not wait for
them. Others wait for grace periods at the same time, flood the callbacks, keep CPUs for long, or
have everybody pause. In the spirit of kernel/rcu/rcutorture.c (v6.12).
"""

from itertools import count
from typing import Any

from testbed import onoff
from testbed.harness import Counters, Option, Run

CLAIM = "a grace period ends, and only after every reader that had begun before it"
SOURCES = ("rcu_torture.c", "rcu_torture_extras.c", "rcu_torture_flavours.c")
LIBRARY = None

# In the order of flavours[] in rcu_torture_flavours.c, and what each of them has.
FLAVOURS = {
    "rcu": {"interrupts", "callbacks", "barriers"},
    "busted": {"interrupts", "callbacks"},
    "trivial": {"interrupts"},
    "tasks": {"callbacks", "barriers"},
    "tasks-rude": {"interrupts", "callbacks", "barriers"},
    "tasks-tracing": {"interrupts", "callbacks", "barriers"},
    "srcu": {"interrupts", "callbacks", "barriers", "up and down"},
    "srcu-fast": {"interrupts"},
    "busted-srcu": {"interrupts", "callbacks", "barriers", "up and down"},
}
OPTIONS = (
    Option("flavor", "rcu", "Kind of RCU; busted ones are to be caught.",
           choices=tuple(FLAVOURS)),
    Option("readers", 0, "Tasks that read; 0 = one on each CPU.", minimum=0, maximum=64),
    Option("fake_writers", 3, "Tasks that wait for grace periods.", minimum=0, maximum=32),
    Option("delay", 20_000, "Longest time in a part of a section, cycles.", minimum=0),
    Option("call_per_mille", 200, "Moved on by callbacks, per 1000.", minimum=0, maximum=1000),
    Option("irq_readers", True, "Interrupts read, too."),
    Option("device_us", 500, "A CPU is interrupted so often, us; 0 = never.", minimum=0),
    Option("up_down", 2, "Pairs of tasks that begin and end sections.", minimum=0, maximum=16),
    Option("barriers", 2, "Tasks that wait for their callbacks.", minimum=0, maximum=16),
    Option("flood", 1000, "Callbacks queued at once; 0 = none.", minimum=0, maximum=20_000),
    Option("stall_cpu", 0, "How long a reader now and then keeps its CPU, ms.", minimum=0),
    Option("stall_every", 1000, "Pause between two such stalls, ms.", minimum=10),
    Option("stutter", 500, "All pause so long, as often, ms; 0 = never.", minimum=0),
    Option("shuffle", 300, "Each CPU in turn is left alone so long, ms; 0 = never.", minimum=0),
    onoff.ONOFF,
)  # fmt: skip

CALLS = 8  # before a barrier, at most

# In the order of enum torture_reader and enum torture_wait.
READERS = ("reads in tasks", "reads in interrupts", "reads begun here, ended there")
WAITS = ("normal", "expedited", "polled", "conditional", "callback")


def setup(run: Run) -> None:
    """Start the tasks, spread over the CPUs."""
    options, machine = run.options, run.machine
    torture_at = machine.alloc("struct torture")
    torture = machine.view(torture_at, "struct torture")[0]
    torture["flavour"] = list(FLAVOURS).index(options["flavor"])
    for name, option in {
        "delay": "delay", "call_per_mille": "call_per_mille", "flood": "flood",
        "stall_ms": "stall_cpu", "stall_every_ms": "stall_every", "stutter_ms": "stutter",
        "shuffle_ms": "shuffle",
    }.items():  # fmt: skip
        torture[name] = options[option]
    torture["calls"] = CALLS
    run.state["torture"] = torture
    planned = plan(run)
    tasks_at = machine.alloc("struct torture_task", len(planned))
    size = machine.layout.sizeof("struct torture_task")
    run.state["tasks"] = machine.view(tasks_at, "struct torture_task", len(planned))
    machine.call("torture_begin", torture_at)
    hands: dict[int, int] = {}
    for place, (task, (cpu, function, number)) in enumerate(
        zip(run.state["tasks"], planned, strict=True)
    ):
        task["torture"], task["random"] = torture_at, run.random.getrandbits(64) | 1
        task["number"] = number
        calls = {"flood": options["flood"], "barrier": CALLS}.get(function, 0)
        if calls:
            task["calls"] = machine.alloc("struct torture_call", calls)
        if function in ("down", "up"):
            if number not in hands:
                hands[number] = machine.alloc("struct torture_hand")
            task["hand"] = hands[number]
        where = tasks_at + place * size
        if function == "interrupt":
            machine.call("torture_interrupt", where)
        else:
            machine.spawn(cpu, f"torture_{function}", where, f"{function}/{number}")
    onoff.start(run)


def plan(run: Run) -> list[tuple[int, str, int]]:
    """Return CPU, function and number of each task and interrupt."""
    options, cpus = run.options, run.cpus
    has = FLAVOURS[options["flavor"]]
    wanted = {
        "interrupt": cpus if options["irq_readers"] and "interrupts" in has else 0,
        "reader": options["readers"] or cpus,
        "writer": 1,
        "fake_writer": options["fake_writers"],
        "down": options["up_down"] if "up and down" in has else 0,
        "up": options["up_down"] if "up and down" in has else 0,
        "barrier": options["barriers"] if "barriers" in has else 0,
        "flood": 1 if options["flood"] and "callbacks" in has else 0,
        "stall": 1 if options["stall_cpu"] else 0,
        "stutter": 1 if options["stutter"] else 0,
        "shuffle": 1 if options["shuffle"] and cpus > 1 else 0,
    }
    # Those that wait from the other end, so that with few readers some CPUs only wait.
    waiting = count(cpus - 1, -1)
    return [
        (number % cpus if name in ("interrupt", "reader") else next(waiting) % cpus, name, number)
        for name, many in wanted.items()
        for number in range(many)
    ]


def counters(run: Run) -> Counters:
    """Return what the tasks have done so far, in the terms of rcutorture."""
    tasks: Any = run.state.get("tasks")
    if tasks is None:
        return {}
    reads, pipe, batch = (tasks[name].sum(axis=0) for name in ("reads", "pipe", "batch"))
    updates, waits = tasks["updates"].sum(axis=0), tasks["waits"].sum(axis=0)
    flavour = FLAVOURS[run.options["flavor"]]
    counts: Counters = {"operations": int(updates.sum() + waits.sum())}
    counts["reads"] = int(reads.sum())
    counts |= {name: int(reads[n]) for n, name in enumerate(READERS) if reads[n]}
    counts["elements replaced"] = int(updates.sum())
    counts |= {
        f"grace periods, {name}": int(updates[n] + waits[n])
        for n, name in enumerate(WAITS) if updates[n] + waits[n]
    }  # fmt: skip
    counts |= {f"reader pipe {n}": int(pipe[n]) for n in range(len(pipe)) if n < 2 or pipe[n]}
    counts |= {f"reader batch {n}": int(batch[n]) for n in range(len(batch)) if batch[n]}
    counts["near misses"] = int(batch[2:].sum())
    if "callbacks" in flavour:
        counts["callbacks of floods"] = int(tasks["flooded"].sum())
        counts["longest flood, ms"] = round(int(tasks["flood_ns"].max()) / 1e6, 1)
    if "barriers" in flavour:
        counts["barriers"] = int(tasks["barriers"].sum())
    if run.options["stall_cpu"]:
        counts["stalls injected"] = int(tasks["stalls"].sum())
    return counts | onoff.counters(run)
