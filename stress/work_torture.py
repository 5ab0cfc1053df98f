"""Timers, work and waiting: what was armed or queued runs, once, unless it was taken back in time.

Tasks on every CPU arm and delete the same timers, queue, delay, flush and cancel the same work, and
sleep with and without limits. Each item keeps an account: how often it became pending, ran, and was
taken back. Objects whose timer and work arm each other are freed as soon as both are shut down.
"""

from testbed.harness import Counters, Option, Run

CLAIM = "all that became pending has run or was taken back, not twice at once, and not too early"
SOURCES = ("work_torture.c",)
LIBRARY = None
OPTIONS = (
    Option("torturers", 0, "Tasks; 0 = two on each CPU.", minimum=0, maximum=100),
    Option("objects", 8, "Objects that all tasks share.", minimum=1, maximum=1000),
    Option("longest", 4, "Longest delay of a timer, ms.", minimum=0, maximum=1000),
    Option("spin", 2000, "Longest delay in a function, cycles.", minimum=0),
    Option("arm", 30, "Weight of arming a timer.", minimum=0),
    Option("delete", 20, "Weight of deleting a timer.", minimum=0),
    Option("queue", 30, "Weight of queueing work on some CPU.", minimum=0),
    Option("kick", 20, "Weight of queueing work that nobody cancels.", minimum=0),
    Option("delay", 20, "Weight of queueing or moving delayed work.", minimum=0),
    Option("cancel", 15, "Weight of cancelling work.", minimum=0),
    Option("flush", 10, "Weight of waiting for work.", minimum=0),
    Option("irq", 20, "Weight of irq_work.", minimum=0),
    Option("sleep", 2, "Weight of sleeping.", minimum=0),
    Option("timeout", 2, "Weight of waiting in vain.", minimum=0),
    Option("token", 10, "Weight of passing tokens by a wait queue.", minimum=0),
    Option("object", 10, "Weight of objects that are freed at once.", minimum=0),
)

# In the order of enum work_operation.
OPERATIONS = (
    "arm", "delete", "queue", "kick", "delay", "cancel", "flush", "irq", "sleep", "timeout",
    "token", "object",
)  # fmt: skip

FUNCTIONS = {
    "timers fired": "timers", "works run": "works", "delayed works run": "delays",
    "irq works run": "irq_works",
}  # fmt: skip


def setup(run: Run) -> None:
    """Make objects and queues, and start the tasks, spread over the CPUs."""
    machine, options = run.machine, run.options
    torturers = options["torturers"] or 2 * run.cpus
    torture_at = machine.alloc("struct work_torture")
    torture = machine.view(torture_at, "struct work_torture")[0]
    torture["weight"] = [options[name] for name in OPERATIONS]
    torture["longest"] = options["longest"]
    torture["delay"] = options["spin"]
    torture["nr_objects"] = options["objects"]
    torture["objects"] = machine.alloc("struct shared_object", options["objects"])
    torture["tasks_left"] = torturers
    tasks_at = machine.alloc("struct work_task", torturers)
    size = machine.layout.sizeof("struct work_task")
    run.state["torture"] = torture
    run.state["tasks"] = machine.view(tasks_at, "struct work_task", torturers)
    machine.call("work_begin", torture_at)
    for number, task in enumerate(run.state["tasks"]):
        task["torture"], task["random"] = torture_at, run.random.getrandbits(64) | 1
        where = tasks_at + number * size
        machine.spawn(number % run.cpus, "work_torturer", where, f"torturer/{number}")


def counters(run: Run) -> Counters:
    """Return what the tasks, and the functions that they have made run, have done so far."""
    tasks = run.state.get("tasks")
    if tasks is None:
        return {}
    made = tasks["made"].sum(axis=0)
    counts: Counters = {"operations": int(made.sum())}
    counts |= {name: int(made[n]) for n, name in enumerate(OPERATIONS)}
    return counts | {name: int(run.state["torture"][field]) for name, field in FUNCTIONS.items()}
