"""A lock keeps its word: a writer is alone, readers are with readers only, and all get it.

Tasks take one lock, to write or to read, by waiting or by trying, nested in others of its kind,
and in interrupts if it spins. A writer writes a new version into some words, and counts itself; a
reader must find one version, and no writer. In the spirit of kernel/locking/locktorture.c (v6.12).
"""

from typing import Any

from testbed import onoff
from testbed.harness import Counters, Option, Run

CLAIM = "who has the lock alone is alone, and what readers see does not change under them"
SOURCES = ("lock_torture.c", "lock_torture_locks.c")
LIBRARY = None

# In the order of torture_locks[] in lock_torture_locks.c.
LOCKS = ("spin", "rwlock", "mutex", "rwsem", "percpu_rwsem", "seqlock", "busted")
ALL = "all"  # but the busted one, at the same time
OPTIONS = (
    Option("lock", "spin", "Kind of lock; the busted one is to be caught.",
           choices=(*LOCKS, ALL)),
    Option("writers", 0, "Tasks that write; 0 = one on each CPU.", minimum=0, maximum=100),
    Option("readers", 0, "Tasks that read; 0 = one on each CPU.", minimum=0, maximum=100),
    Option("nested", 2, "Locks of its kind that may be held before.", minimum=0, maximum=8),
    Option("hold", 2000, "Longest time that it is held, cycles.", minimum=0),
    Option("long_hold", 300_000, "Now and then held so long, cycles; 0 = never.", minimum=0),
    Option("pause", 5000, "Longest time between, cycles.", minimum=0),
    Option("irq_per_mille", 20, "Taken in interrupts if it spins, per 1000.",
           minimum=0, maximum=1000),
    onoff.ONOFF,
)  # fmt: skip


def setup(run: Run) -> None:
    """Start the tasks of each kind of lock, spread over the CPUs."""
    machine, options = run.machine, run.options
    kinds = LOCKS[:-1] if options["lock"] == ALL else (options["lock"],)
    writers, readers = options["writers"] or run.cpus, options["readers"] or run.cpus
    each = writers + readers
    machine.call("lock_torture_begin", each * len(kinds))
    tasks_at = machine.alloc("struct lock_torture_task", each * len(kinds))
    size = machine.layout.sizeof("struct lock_torture_task")
    run.state["tasks"] = machine.view(tasks_at, "struct lock_torture_task", each * len(kinds))
    run.state["locks"] = {}
    for place, task in enumerate(run.state["tasks"]):
        kind, number = kinds[place // each], place % each
        if not number:
            torture_at = lock_of(run, kind)
        writes = number < writers
        role, number = ("writer", number) if writes else ("reader", number - writers)
        task["torture"], task["random"] = torture_at, run.random.getrandbits(64) | 1
        task["writes_only"] = writes
        # Readers from the other end, so that with few tasks some CPUs only read.
        cpu = (number if writes else run.cpus - 1 - number) % run.cpus
        machine.spawn(cpu, "lock_torturer", tasks_at + place * size, f"{role}/{number} of {kind}")
    onoff.start(run)


def lock_of(run: Run, kind: str) -> int:
    """Return the address of what tasks of one kind of lock share."""
    at = run.machine.alloc("struct lock_torture")
    torture = run.machine.view(at, "struct lock_torture")[0]
    torture["kind"] = LOCKS.index(kind)
    for name in ("hold", "long_hold", "pause", "nested", "irq_per_mille"):
        torture[name] = run.options[name]
    run.state["locks"][kind] = torture
    return at


def counters(run: Run) -> Counters:
    """Return what the tasks have done so far, and what the luckiest and unluckiest of them did."""
    tasks: Any = run.state.get("tasks")
    if tasks is None:
        return {}
    done = tasks["writes"] + tasks["reads"]
    locks = run.state["locks"]
    counts: Counters = {"operations": int(done.sum())}
    for number, kind in enumerate(locks):
        each = len(tasks) // len(locks)
        own = tasks[number * each : (number + 1) * each]
        prefix = f"{kind}, " if len(locks) > 1 else ""
        for name, writes in (("writes", 1), ("reads", 0)):
            made = own[own["writes_only"] == writes][name]
            counts[f"{prefix}{name}"] = int(made.sum())
            counts[f"{prefix}{name} of a task, least"] = int(made.min())
            counts[f"{prefix}{name} of a task, most"] = int(made.max())
    counts["readers at once, most"] = max(int(one["most_readers"]) for one in locks.values())
    for name in ("retries", "refused", "downgrades", "interrupts"):
        if total := int(tasks[name].sum()):
            counts[name if name != "interrupts" else "taken in interrupts"] = total
    return {**counts, **onoff.counters(run)}
