"""Grace periods are long enough: no reader ever holds what was freed after one.

Writers replace their elements and free the old ones after a grace period, by waiting for it or by
a callback. Readers hold elements for a while, with preemption off, interrupts off, or nested.
"""

from testbed.harness import Counters, Option, Run

CLAIM = "a grace period ends only after every reader that had begun before it"
SOURCES = ("rcu_torture.c",)
LIBRARY = None
OPTIONS = (
    Option("readers", 0, "Tasks that read; 0 = one on each CPU.", minimum=0, maximum=64),
    Option("writers", 3, "Tasks that replace.", minimum=1, maximum=32),
    Option("delay", 20_000, "Longest time in a reader, cycles.", minimum=0),
    Option("call_per_mille", 200, "Freed by a callback, per 1000.", minimum=0, maximum=1000),
)

# In the order of enum rcu_reader.
READERS = ("reads with preemption off", "reads with interrupts off", "nested reads")


def setup(run: Run) -> None:
    """Start the tasks, spread over the CPUs."""
    machine, options = run.machine, run.options
    readers, writers = options["readers"] or run.cpus, options["writers"]
    torture_at = machine.alloc("struct rcu_torture")
    torture = machine.view(torture_at, "struct rcu_torture")[0]
    torture["writers"], torture["delay"] = writers, options["delay"]
    torture["call_per_mille"] = options["call_per_mille"]
    tasks_at = machine.alloc("struct rcu_task", readers + writers)
    size = machine.layout.sizeof("struct rcu_task")
    run.state["tasks"] = machine.view(tasks_at, "struct rcu_task", readers + writers)
    for place, task in enumerate(run.state["tasks"]):
        writes = place < writers
        kind, number = ("writer", place) if writes else ("reader", place - writers)
        task["torture"], task["random"] = torture_at, run.random.getrandbits(64) | 1
        task["number"] = number
        # Writers from the other end, so that with few readers some CPUs only write.
        cpu = (run.cpus - 1 - number if writes else number) % run.cpus
        machine.spawn(cpu, f"rcu_{kind}", tasks_at + place * size, f"{kind}/{number}")


def counters(run: Run) -> Counters:
    """Return what the tasks have done so far."""
    tasks = run.state.get("tasks")
    if tasks is None:
        return {}
    reads = tasks["reads"].sum(axis=0)
    waited, queued = int(tasks["grace_periods"].sum()), int(tasks["callbacks"].sum())
    counts = {name: int(reads[n]) for n, name in enumerate(READERS)}
    return {
        "operations": waited + queued, **counts,
        "grace periods waited for": waited, "callbacks": queued,
    }  # fmt: skip
