"""CPUs go down and come up while a harness runs: one option, one task, its counters.

A harness puts `ONOFF` among its options, calls `start` in its ``setup()`` and adds `counters` to
its own. Its tasks have to reach a point where they can park, see ``cond_park()``.
"""

from testbed.harness import Counters, Option, Run

ONOFF = Option(
    "onoff_interval", 0, "CPUs go down and come up so often, ms, on average; 0 = never.", minimum=0,
)  # fmt: skip


def start(run: Run) -> None:
    """Start the task that does it, if the option asks for it and there is more than one CPU."""
    interval_ms = run.options[ONOFF.name]
    if not interval_ms or run.cpus == 1:
        return
    block = run.machine.alloc("struct onoff")
    onoff = run.machine.view(block, "struct onoff")
    onoff[0]["interval_us"] = interval_ms * 1000
    onoff[0]["random"] = run.random.getrandbits(64) | 1
    run.state["onoff"] = onoff
    run.machine.spawn(0, "onoff_task", block, "onoff")


def counters(run: Run) -> Counters:
    """Return how often CPUs went down and came up so far, and how long that took, ms."""
    onoff = run.state.get("onoff")
    if onoff is None:
        return {}
    found: Counters = {}
    for name, shown in (("down", "taken down"), ("up", "brought up")):
        counts = onoff[0][name]
        successes = int(counts["successes"])
        times = {
            "least": int(counts["shortest_ns"]), "most": int(counts["longest_ns"]),
            "average": int(counts["total_ns"]) / max(successes, 1),
        }  # fmt: skip
        found[f"CPUs {shown}"] = successes
        found[f"CPUs not {shown}"] = int(counts["attempts"]) - successes
        found |= {f"{shown} in, ms, {which}": time / 1e6 for which, time in times.items()}
    return found
