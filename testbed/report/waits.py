"""Who waits for whom, read from the wait notes of a stopped machine's tasks."""

from typing import Any

from testbed.findings import Waiting
from testbed.report.addresses import Addresses
from testbed.report.timeline import STOP_STATES

# In the order of enum wait_kind (shm_layout/task.h).
WAIT_NAMES = (
    "none", "mutex", "completion", "spinlock", "cross-call", "grace-period", "stop-machine",
    "poke-refs", "rwsem", "rcu-tasks", "rcu-tasks-trace", "srcu", "rwlock", "seqcount",
    "percpu-rwsem", "rcu-sync", "work", "timeout", "timer", "flush", "queue", "irq-work",
)
NOT_A_HANG = ("none", "work", "timeout")
TASK_FREE, TASK_DEAD = 0, 3

# Which tasks hold a grace period: the bits of TASKS_RCU_HOLDOUT, and of TRC_HOLDOUT.
# RCU_SPECIAL_BLOCKED of shm_layout/task.h.
BLOCKED = 0x2

HOLDOUTS = {"rcu-tasks": ("tasks_rcu", 1), "rcu-tasks-trace": ("trc_special", 3)}


def task_label(tasks: Any, index: int) -> str:
    """Return a task as in "storm/1"; its number when it has no name."""
    if not 0 <= index < len(tasks):
        return f"task {index}"
    return task_name(tasks[index]) or f"task {index}"


def task_name(task: Any) -> str:
    """Return the name of a ``struct task_struct``, "" for none."""
    raw = task["name"]
    data = raw if isinstance(raw, bytes) else bytes(raw.tobytes())
    return data.split(b"\0", 1)[0].decode(errors="replace")


def all_waits(
    tasks: Any, nr_cpus: int, now_ns: int, addresses: Addresses
) -> tuple[Waiting, ...]:
    """Return every task that waits for somebody, the longest first.

    Args:
        tasks: records of ``struct task_struct``.
        nr_cpus: CPUs of the machine.
        now_ns: machine time when it was stopped, 0 if not known.
        addresses: names for what is waited for.
    """
    waits = [
        waiting_of(tasks, index, nr_cpus, now_ns, addresses)
        for index in range(len(tasks))
        if int(tasks[index]["state"]) not in (TASK_FREE, TASK_DEAD)
    ]
    return tuple(sorted((wait for wait in waits if wait), key=lambda wait: -wait.since_ms))


def waiting_of(
    tasks: Any, index: int, nr_cpus: int, now_ns: int, addresses: Addresses
) -> Waiting | None:
    """Return what the task waits for, None if it does not."""
    task = tasks[index]
    note = task["wait"]
    kind = wait_name(int(note["kind"]))
    if kind in NOT_A_HANG:
        return None
    since = int(note["since"])
    return Waiting(
        cpu=int(task["cpu"]),
        task=task_label(tasks, index),
        kind=kind,
        object=addresses.data(int(note["object"])),
        since_ms=max(0, now_ns - since) // 1_000_000 if now_ns and since else 0,
        holders=_holders(kind, int(note["value"]), tasks, nr_cpus),
    )


def wait_name(number: int) -> str:
    """Return the name of ``enum wait_kind``."""
    return WAIT_NAMES[number] if number < len(WAIT_NAMES) else f"wait-{number}"


def _on_its_cpu(tasks: Any, index: int) -> str:
    return f"{task_label(tasks, index)} on CPU {int(tasks[index]['cpu'])}"


def _holders(kind: str, value: int, tasks: Any, nr_cpus: int) -> tuple[str, ...]:
    match kind:
        case "mutex" | "rwsem" | "percpu-rwsem" | "flush" if 0 < value <= len(tasks):
            return (_on_its_cpu(tasks, value - 1),)
        case "rcu-tasks" | "rcu-tasks-trace":
            field, mask = HOLDOUTS[kind]
            held = [n for n in range(len(tasks)) if int(tasks[n][field]) & mask]
            return tuple(_on_its_cpu(tasks, n) for n in held)
        case "spinlock" | "rwlock" | "seqcount" | "timer" if value:
            return (f"CPU {value - 1}",)
        case "cross-call" | "grace-period" | "srcu":
            cpus = tuple(f"CPU {cpu}" for cpu in range(min(nr_cpus, 64)) if value >> cpu & 1)
            # Readers that lost their CPU are waited for, too.
            blocked = [n for n in range(len(tasks))
                       if kind == "grace-period" and int(tasks[n]["rcu_special"]) & BLOCKED]
            return cpus + tuple(_on_its_cpu(tasks, n) for n in blocked)
        case "stop-machine" if value < len(STOP_STATES):
            return (f"all CPUs to leave state {STOP_STATES[value]}",)
    return ()
