"""Hypothesis generates scenarios: lists of operations that are valid by the way they are drawn.

Each draw only offers what makes sense there, so nothing is thrown away, and a failing scenario
shrinks to fewer tasks, fewer operations, and smaller numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from hypothesis import strategies as st

from testbed.scenario.builder import Function, ScenarioBuilder, TaskBuilder
from testbed.scenario.check import (
    HANDLERS,
    ScenarioError,
    alternatives,
    function_named,
    modules,
    places,
)
from testbed.scenario.model import BATCH, VOCABULARY, Probe, Scenario

CLAIM = "Every call is hit exactly as it must be, whatever else happens."
SKIPPED = 0x5C1FFED
DELAYS = (100, 3000)
MOST_TIMES, MOST_OF_INTERRUPT = 3, 4


@dataclass(frozen=True)
class Bounds:
    """What generated scenarios have and how big they get, see `testbed.scenario.scenarios`."""

    functions: tuple[str, ...]
    operations: frozenset[str]
    max_cpus: int
    max_tasks: int
    max_probes: int
    max_operations: int
    max_interrupts: int

    def __post_init__(self) -> None:
        for name in sorted(self.operations):
            if name not in VOCABULARY:
                close = get_close_matches(name, VOCABULARY, n=1)
                known = f"there are {', '.join(VOCABULARY)}"
                hint = f"did you mean {close[0]}?" if close else known
                raise ScenarioError(f"operation {name!r}: no such operation; {hint}")

    @property
    def has_functions(self) -> bool:
        """Some operation is about functions, or about probes on them."""
        return any(
            VOCABULARY[name].function or VOCABULARY[name].module or VOCABULARY[name].probes
            for name in self.operations
        )


@dataclass
class _Task:
    """A task while it is drawn.

    Attributes:
        own: probes that this task alone registers; True = registered here.
        preempt, irq: how deep preemption is off, and whether interrupts are.
    """

    builder: TaskBuilder
    own: dict[Probe, bool]
    preempt: int = 0
    irq: int = 0

    def offers(self, parts: _Parts) -> list[str]:
        """Return the names of operations that may come next; a name twice = twice as often."""
        names = ["call", "call", "call"] if parts.functions else []
        if not self.irq:
            names += ["call_in_irq"] if parts.functions else []
            names += ["preempt_disable"]
        if not self.irq and not self.preempt:
            names += ["irq_disable", "synchronize_rcu", "stop_machine", "yield", "audit"]
            names += ["disarm_all", "arm_all", *self._probe_offers(parts.shared)]
            names += ["patch", "patch", "bring_up"] if parts.sites else []
            names += ["unload", "load"] if parts.has_module else []
        names = [name for name in names if name in parts.operations]
        if self.preempt and not self.irq:
            names.append("preempt_enable")
        if self.irq:
            names.append("irq_enable")
        return names

    def _probe_offers(self, shared: list[Probe]) -> list[str]:
        registered = list(self.own.values())
        names = ["register"] * 3 if shared or not all(registered) else []
        if shared or any(registered):
            names += ["unregister"] * 3 + ["enable", "disable"]
        names += ["register_batch"] if registered.count(False) > 1 else []
        names += ["unregister_batch"] if registered.count(True) > 1 else []
        return names

    def do(self, name: str) -> None:
        """Add an operation that is about nothing in particular."""
        getattr(self.builder, "yield_" if name == "yield" else name)()
        self.preempt += {"preempt_disable": 1, "preempt_enable": -1}.get(name, 0)
        self.irq += {"irq_disable": 1, "irq_enable": -1}.get(name, 0)

    def close(self) -> None:
        """End the regions that are open."""
        for _ in range(self.irq):
            self.builder.irq_enable()
        for _ in range(self.preempt):
            self.builder.preempt_enable()
        self.irq = self.preempt = 0


@dataclass
class _Parts:
    """What the operations of a scenario can be about."""

    cpus: int
    functions: list[Function]
    operations: frozenset[str]
    shared: list[Probe] = field(default_factory=list)

    @property
    def sites(self) -> list[Function]:
        """Those that can be patched."""
        return [one for one in self.functions if alternatives(one.name)]

    @property
    def has_module(self) -> bool:
        """One of them is in a module that can be unloaded."""
        return any(function_named(one.name).module for one in self.functions)


def generated(bounds: Bounds) -> st.SearchStrategy[Scenario]:
    """Return the strategy."""
    return _scenario(bounds)


@st.composite
def _scenario(draw: st.DrawFn, bounds: Bounds) -> Scenario:
    builder = ScenarioBuilder("generated", CLAIM)
    cpus = draw(_count(2, 1, bounds.max_cpus))
    some = st.lists(st.sampled_from(bounds.functions), min_size=1, max_size=3, unique=True)
    names = draw(some) if bounds.has_functions else []
    parts = _Parts(cpus, [builder.function(name) for name in names], bounds.operations)
    most = bounds.max_probes if "register" in bounds.operations else 0
    probes = [draw(_probe(builder, parts)) for _ in range(draw(_count(1, 0, most)))]
    tasks = draw(_count(2, 1, bounds.max_tasks))
    # Whoever registers a probe also unregisters it, or anybody does: -1.
    owners = {probe: draw(st.integers(-1 if tasks > 1 else 0, tasks - 1)) for probe in probes}
    parts.shared = [probe for probe, owner in owners.items() if owner < 0]
    barriers = draw(st.integers(0, 2)) if tasks > 1 and "barrier" in bounds.operations else 0
    for number in range(tasks):
        own = {probe: False for probe, owner in owners.items() if owner == number}
        cpu = (number + draw(st.integers(0, cpus - 1))) % cpus
        task = _Task(builder.task(cpu=cpu), own)
        # One task begins with it and another one ends with it; in between, anybody.
        for probe in parts.shared if number == 0 else ():
            task.builder.register(probe)
        for part in range(barriers + 1):
            if part:
                task.builder.barrier()
            most = max(bounds.max_operations // (barriers + 1), 1)
            for _ in range(draw(st.integers(0 if part else 1, most))):
                _operation(draw, task, parts)
            task.close()
        for probe in parts.shared if number == 1 else ():
            task.builder.unregister(probe)
    for _ in range(draw(st.integers(0, bounds.max_interrupts))):
        _interrupt(draw, builder, parts)
    return builder.build(cpus, "held")


def _count(usual: int, least: int, most: int) -> st.SearchStrategy[int]:
    """Return numbers from `least` to `most`; every other one is `usual`, to which they shrink."""
    usual = min(max(usual, least), most)
    return st.one_of(st.just(usual), st.integers(least, most))


@st.composite
def _probe(draw: st.DrawFn, builder: ScenarioBuilder, parts: _Parts) -> Probe:
    function = draw(st.sampled_from(parts.functions))
    offset = draw(st.sampled_from(places(function_named(function.name))))
    # A handler does not hold a module that may be unloaded.
    callable_ones = [
        one for one in parts.functions
        if not alternatives(one.name) and not function_named(one.name).module
    ]
    handlers = [
        name for name in HANDLERS
        if (name != "skip" or offset == 0) and (name != "reenter" or callable_ones)
    ]
    handler = draw(st.sampled_from(handlers))
    return builder.kprobe(
        function, offset, handler, draw(st.sampled_from((True, True, False))),
        enters=draw(st.sampled_from(callable_ones)) if handler == "reenter" else None,
        returns=SKIPPED if handler == "skip" else 0,
        delay=draw(st.sampled_from(DELAYS)) if handler == "delay" else 0,
    )  # fmt: skip


def _interrupt(draw: st.DrawFn, builder: ScenarioBuilder, parts: _Parts) -> None:
    """Add an interrupt, which calls and does what a CPU need not wait for."""
    cpu, times = draw(st.integers(0, parts.cpus - 1)), draw(st.integers(1, MOST_TIMES))
    nmi = draw(st.booleans())
    if nmi:
        # It cannot hold a module that may be unloaded.
        stay = [one for one in parts.functions if not function_named(one.name).module]
        parts = replace(parts, functions=stay)
    added = builder.nmi(cpu, times) if nmi else builder.irq(cpu, times)
    interrupt = _Task(added, {}, irq=0 if nmi else 1)
    for _ in range(draw(st.integers(0, MOST_OF_INTERRUPT))):
        names = {"call"} & parts.operations if parts.functions else set()
        names |= {"preempt_enable" if interrupt.preempt else "preempt_disable"} & parts.operations
        names |= set() if nmi else {"irq_enable" if interrupt.irq else "irq_disable"}
        name = draw(st.sampled_from(sorted(names))) if names else ""
        if name == "call":
            _call(draw, interrupt, parts, name)
        elif name:
            interrupt.do(name)
    if interrupt.preempt:
        interrupt.do("preempt_enable")
    if not nmi and not interrupt.irq:
        interrupt.do("irq_disable")


def _operation(draw: st.DrawFn, task: _Task, parts: _Parts) -> None:
    """Add one operation to a task."""
    offers = task.offers(parts)
    if not offers:
        return
    name = draw(st.sampled_from(offers))
    if name in ("call", "call_in_irq"):
        _call(draw, task, parts, name)
    elif name in ("patch", "bring_up"):
        function = draw(st.sampled_from(parts.sites))
        number = draw(st.integers(0, len(alternatives(function.name)) - 1))
        getattr(task.builder, name)(function, number)
    elif name in ("unload", "load"):
        getattr(task.builder, name)(modules()[1])
    elif name.startswith(("register", "unregister", "enable", "disable")):
        _change(draw, task, parts, name)
    else:
        task.do(name)


def _call(draw: st.DrawFn, task: _Task, parts: _Parts, name: str) -> None:
    function = draw(st.sampled_from(parts.functions))
    times, a, b = draw(st.integers(1, 8)), draw(st.integers(0, 2**64 - 1)), draw(st.integers(0, 7))
    if name == "call":
        task.builder.call(function, times, a, b)
    else:
        task.builder.call_in_irq(draw(st.integers(0, parts.cpus - 1)), function, times, a, b)


def _change(draw: st.DrawFn, task: _Task, parts: _Parts, name: str) -> None:
    registers = name.startswith("register")
    fitting = [probe for probe, registered in task.own.items() if registered != registers]
    if name.endswith("batch"):
        chosen = draw(st.lists(st.sampled_from(fitting), min_size=1, max_size=BATCH, unique=True))
    else:
        chosen = [draw(st.sampled_from([*fitting, *parts.shared]))]
    getattr(task.builder, name)(*chosen)
    for probe in chosen:
        if probe in task.own and "able" not in name:
            task.own[probe] = registers
