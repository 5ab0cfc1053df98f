"""What a traced call costs, by the number of tracers: through the list of them, and by trampolines.

As many functions have each a tracer with a callback of its own. The list is walked for every call;
a trampoline belongs to one tracer, and calls nobody else. A plot of it goes into a run's folder.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from markupsafe import Markup

from testbed.build import Request, build
from testbed.config import MachineConfig
from testbed.errors import TestbedError
from testbed.machine import Machine
from testbed.paths import project_root
from testbed.report.plot import Series, plot_svg
from testbed.runs import RunFolder
from testbed.text.image import build_image

Figures = dict[str, Any]

COUNTS = (1, 10, 100, 1000)
ROUNDS = 5
IN_ROW = 16

# Calls of one measurement: enough for a millisecond or more, whatever one costs.
CALLS = {"untraced": 400_000, "list": 16_000, "trampoline": 160_000}

# With 1,000 tracers a call may cost so much more than with 1; caches are all that differs.
GROWTH_AIM = 3.0


class TrampolinesUnable(TestbedError):
    """Something else was done than what was to be measured."""


def measure(with_aim: Callable[..., Figures]) -> Figures:
    """Return ns per call by number of tracers, and where the plot is.

    Args:
        with_aim: puts an aim beside a figure, see testbed.bench.

    Raises:
        TrampolinesUnable: a call was not traced, or functions cannot be traced.
    """
    image = build_image(library=None, imports={}, traced=max(COUNTS), trampolines_kb=256)
    core = build(Request(extra=(project_root() / "stress" / "bench_trampolines.c",)))
    addresses = [image.function(f"traced_{n:04}").addr for n in range(max(COUNTS))]
    config = MachineConfig(cpus=1, hang_ms=0, stall_ms=0, reuse_delay=0)
    rounds: dict[str, dict[int, list[float]]] = {name: {} for name in CALLS}
    with Machine(core, image, config) as machine:
        table = machine.alloc("u64", len(addresses))
        machine.view(table, "u64", len(addresses))[:] = addresses
        for _ in range(ROUNDS):
            for count in COUNTS:
                for name in CALLS:
                    ns = _measured(machine, table, name, count)
                    rounds[name].setdefault(count, []).append(ns)
    medians = {
        name: {count: statistics.median(values) for count, values in made.items()}
        for name, made in rounds.items()
    }
    figures: Figures = {
        f"{count}_tracers": {f"{name}_ns": medians[name][count] for name in CALLS}
        for count in COUNTS
    }
    least, most = min(COUNTS), max(COUNTS)
    for name in ("list", "trampoline"):
        figures[f"{name}_growth"] = medians[name][most] / medians[name][least]
    with_aim(figures, "trampoline_growth", at_most=GROWTH_AIM)
    with_aim(figures, "list_growth", at_least=GROWTH_AIM)
    figures["report"] = str(_report(medians))
    return figures


def _measured(machine: Machine, table: int, name: str, count: int) -> float:
    """Return ns per call with `count` tracers."""
    if name != "untraced" and machine.call(
        "bench_trace", table, count, int(name == "list"), timeout=60.0
    ):
        raise TrampolinesUnable(f"{count} functions cannot be traced")
    calls = max(CALLS[name] // (count * IN_ROW), 1)
    machine.call("bench_traced_calls", table, count, IN_ROW, calls, timeout=60.0)
    result = machine.global_("trampolines_bench")
    made, hits, ns = (int(result[field]) for field in ("count", "hits", "ns"))
    if hits != (0 if name == "untraced" else made):
        raise TrampolinesUnable(f"of {made} calls of {count} functions {hits} were traced")
    if name != "untraced" and machine.call("bench_untrace", timeout=60.0):
        raise TrampolinesUnable(f"{count} functions cannot be left alone again")
    return ns / made


def _report(medians: dict[str, dict[int, float]]) -> object:
    """Write the plot and a page with it; return the page's path."""
    colours = {"untraced": "#888", "list": "#c33", "trampoline": "#27a"}
    series = [
        Series(name, colours[name], [(float(count), ns) for count, ns in made.items()])
        for name, made in medians.items()
    ]
    plot = plot_svg(series, "tracers, one function each", "ns per call")
    folder = RunFolder.create("bench-trampolines")
    folder.write("trampolines.svg", plot.encode())
    folder.write("report.html", _page(plot, medians).encode())
    return folder.path / "report.html"


def _page(plot: Markup, medians: dict[str, dict[int, float]]) -> str:
    head = _row("th", ["tracers", *(f"{name}, ns per call" for name in medians)])
    rows = [
        _row("td", [f"{count:,}", *(f"{made[count]:,.1f}" for made in medians.values())])
        for count in COUNTS
    ]
    return Markup(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>trampolines</title>\n"
        "<style>body {{ font: 14px sans-serif; margin: 2em; max-width: 60em }}"
        " td, th {{ padding: 2px 1em; text-align: right }}</style>\n"
        "<h1>What a traced call costs</h1>\n"
        "<p>Each function has one tracer with a callback of its own. The list is walked for every"
        " call; a trampoline belongs to one tracer.</p>\n{}\n<table>\n{}\n{}\n</table>\n</html>\n"
    ).format(plot, head, Markup("\n").join(rows))


def _row(cell: str, values: Sequence[str]) -> Markup:
    cells = Markup("").join(
        Markup("<{0}>{1}</{0}>").format(Markup(cell), value) for value in values
    )
    return Markup("<tr>{}</tr>").format(cells)
