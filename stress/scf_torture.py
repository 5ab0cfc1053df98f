"""Cross calls and stopped machines: each function runs where it was asked for, once, and in time.

Tasks on every CPU call the others: one or many, waiting or not, and by calls that their own
function sends on. Who waits must find what the functions wrote; the block that they were given is
poisoned after that. A part of the operations stops the machine and looks whether all CPUs stand.
In the spirit of kernel/scftorture.c (v6.12).
"""

from testbed import onoff
from testbed.harness import Counters, Option, Run

CLAIM = "a called function runs once, on its CPU, before its caller goes on; stopped CPUs stand"
SOURCES = ("scf_torture.c",)
LIBRARY = None
OPTIONS = (
    Option("callers", 0, "Tasks that call; 0 = one on each CPU.", minimum=0, maximum=100),
    Option("resched", 10, "Weight of asking a CPU to look at its run queue.", minimum=0),
    Option("single", 10, "Weight of calls to one CPU.", minimum=0),
    Option("single_rpc", 10, "The same, with a completion by the function.", minimum=0),
    Option("single_wait", 20, "The same, waited for.", minimum=0),
    Option("many", 10, "Weight of calls to some CPUs.", minimum=0),
    Option("many_wait", 20, "The same, waited for.", minimum=0),
    Option("all", 5, "Weight of calls to all CPUs.", minimum=0),
    Option("all_wait", 10, "The same, waited for.", minimum=0),
    Option("chain", 20, "Weight of calls that go on to other CPUs by themselves.", minimum=0),
    Option("stop", 2, "Weight of stopping the machine.", minimum=0),
    Option("delay", 2000, "Longest delay in a called function, cycles.", minimum=0),
    Option("longwait", 0, "Now and then a function takes so long, ms; 0 = never.", minimum=0,
           maximum=1000),
    Option("cpus_read_lock", False, "Hold the set of CPUs for each call, not preemption."),
    onoff.ONOFF,
)

# In the order of enum scf_operation.
OPERATIONS = (
    "resched", "single", "single_rpc", "single_wait", "many", "many_wait", "all", "all_wait",
    "chain", "stop",
)  # fmt: skip


def setup(run: Run) -> None:
    """Start the tasks, spread over the CPUs."""
    machine, options = run.machine, run.options
    callers = options["callers"] or run.cpus
    scf_at = machine.alloc("struct scf")
    scf = machine.view(scf_at, "struct scf")[0]
    scf["weight"] = [options[name] for name in OPERATIONS]
    scf["delay"], scf["long_wait_ms"] = options["delay"], options["longwait"]
    scf["locks_cpus"] = options["cpus_read_lock"]
    tasks_at = machine.alloc("struct scf_task", callers)
    size = machine.layout.sizeof("struct scf_task")
    run.state["scf"] = scf
    run.state["tasks"] = machine.view(tasks_at, "struct scf_task", callers)
    for number, task in enumerate(run.state["tasks"]):
        task["scf"], task["random"] = scf_at, run.random.getrandbits(64) | 1
        where = tasks_at + number * size
        machine.spawn(number % run.cpus, "scf_caller", where, f"caller/{number}")
    onoff.start(run)


def counters(run: Run) -> Counters:
    """Return what the tasks have done so far."""
    tasks = run.state.get("tasks")
    if tasks is None:
        return {}
    made = tasks["made"].sum(axis=0)
    counts = {name.replace("_", " "): int(made[n]) for n, name in enumerate(OPERATIONS)}
    return {"operations": int(made.sum()), **counts, **onoff.counters(run)}
