"""A tracer's trampoline is freed only when no task is in it, or will return to it.

Tasks call functions, and are preempted at any instruction, while tracers of these functions come
and go, each with a trampoline of its own. Freed trampolines are poisoned. Every call is judged: a
tracer that is there from before to after it is called once.
"""

from testbed.harness import Counters, Option, Run

CLAIM = "nobody runs in a trampoline that was freed, and every tracer gets exactly its calls"
SOURCES = ("trampolines.c",)
LIBRARY = None
IMAGE = {"traced": 1000, "trampolines_kb": 256}
OPTIONS = (
    Option("callers", 3, "Tasks on each CPU that call.", minimum=1, maximum=16),
    Option("tracers", 8, "Tasks that trace.", minimum=1, maximum=64),
    Option("functions", 16, "Functions that are called.", minimum=1, maximum=1000),
    Option("tick", 150, "Period of the timer where each CPU has a core, us.", minimum=20,
           maximum=1_000_000),
    Option("delay", 3000, "Longest time in a callback, cycles.", minimum=0),
    Option("pause", 100_000, "Longest time that a tracer stays, cycles.", minimum=0),
    Option("reuse_delay", 1000, "Freed trampolines that are kept before one is used again.",
           minimum=0, maximum=100_000),
)  # fmt: skip


def setup(run: Run) -> None:
    """Start the tasks, spread over the CPUs."""
    machine, options = run.machine, run.options
    count = options["functions"]
    functions_at = machine.alloc("struct traced_function", count)
    functions = machine.view(functions_at, "struct traced_function", count)
    for number, function in enumerate(functions):
        function["addr"] = run.image.function(f"traced_{number:04}").addr
    shared_at = machine.alloc("struct trampolines")
    shared = machine.view(shared_at, "struct trampolines")[0]
    shared["functions"], shared["nr_functions"] = functions_at, count
    shared["delay"], shared["pause"] = options["delay"], options["pause"]

    callers, tracers = options["callers"] * run.cpus, options["tracers"]
    tasks_at = machine.alloc("struct trampolines_task", callers + tracers)
    size = machine.layout.sizeof("struct trampolines_task")
    run.state["tasks"] = machine.view(tasks_at, "struct trampolines_task", callers + tracers)
    for place, task in enumerate(run.state["tasks"]):
        kind, number = ("caller", place) if place < callers else ("tracer", place - callers)
        task["trampolines"], task["random"] = shared_at, run.random.getrandbits(64) | 1
        machine.spawn(
            number % run.cpus, f"trampolines_{kind}", tasks_at + place * size, f"{kind}/{number}"
        )


def counters(run: Run) -> Counters:
    """Return what was called, who came and went, and where tasks were preempted."""
    tasks = run.state.get("tasks")
    if tasks is None:
        return {}
    stats = run.machine.global_("ftrace_stats")
    return {
        "calls": int(tasks["calls"].sum()),
        "callbacks": int(tasks["hits"].sum()),
        "calls surely traced": int(tasks["sure_calls"].sum()),
        "calls out of callbacks": int(tasks["nested"].sum()),
        "tracers that came and went": int(tasks["tracers"].sum()),
        "filters changed": int(tasks["filters"].sum()),
        "returns noticed": int(tasks["returns"].sum()),
        "sites changed": int(stats["pokes"]),
        "trampolines freed": int(stats["trampolines_freed"]),
        "grace periods waited for": 2 * int(stats["trampolines_freed"]),
        "preempted on a trampoline": int(stats["preempted_on_trampoline"]),
        "preempted below a trampoline": int(stats["preempted_below_trampoline"]),
    }
