"""Hypothesis generates scenarios: lists of operations that are valid by the way they are drawn.

Each draw only offers what makes sense there, so nothing is thrown away, and a failing scenario
shrinks to fewer tasks, fewer operations, and smaller numbers.
"""

from dataclasses import dataclass, field

from hypothesis import strategies as st

from testbed.scenario.builder import Function, ScenarioBuilder, TaskBuilder
from testbed.scenario.check import HANDLERS, alternatives, function_named, places
from testbed.scenario.model import BATCH, Probe, Scenario

CLAIM = "Every call is hit exactly as it must be, whatever else happens."
SKIPPED = 0x5C1FFED
DELAYS = (100, 3000)


@dataclass(frozen=True)
class Bounds:
    """How big generated scenarios get, see `testbed.scenario.scenarios`."""

    functions: tuple[str, ...]
    max_cpus: int
    max_tasks: int
    max_probes: int
    max_operations: int


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

    def offers(self, shared: list[Probe], sites: bool) -> list[str]:
        """Return the names of operations that may come next; a name twice = twice as often."""
        names = ["call", "call", "call"]
        if not self.irq:
            names += ["call_in_irq", "preempt_disable"]
        if not self.irq and not self.preempt:
            names += ["irq_disable", "synchronize_rcu", "stop_machine", "yield_", "audit"]
            names += ["disarm_all", "arm_all"]
            names += ["register", "register"] if shared or not all(self.own.values()) else []
            if shared or any(self.own.values()):
                names += ["unregister", "enable", "disable"]
            names += ["register_batch"] if list(self.own.values()).count(False) > 1 else []
            names += ["unregister_batch"] if list(self.own.values()).count(True) > 1 else []
            names += ["patch"] if sites else []
        if self.preempt and not self.irq:
            names.append("preempt_enable")
        if self.irq:
            names.append("irq_enable")
        return names

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
    shared: list[Probe] = field(default_factory=list)


def generated(bounds: Bounds) -> st.SearchStrategy[Scenario]:
    """Return the strategy."""
    return _scenario(bounds)


@st.composite
def _scenario(draw: st.DrawFn, bounds: Bounds) -> Scenario:
    builder = ScenarioBuilder("generated", CLAIM)
    cpus = draw(st.integers(1, bounds.max_cpus))
    names = draw(st.lists(st.sampled_from(bounds.functions), min_size=1, max_size=3, unique=True))
    parts = _Parts(cpus, [builder.function(name) for name in names])
    probes = [draw(_probe(builder, parts)) for _ in range(draw(st.integers(0, bounds.max_probes)))]
    tasks = draw(st.integers(1, bounds.max_tasks))
    # Whoever registers a probe also unregisters it, or anybody does: -1.
    owners = {probe: draw(st.integers(-1 if tasks > 1 else 0, tasks - 1)) for probe in probes}
    parts.shared = [probe for probe, owner in owners.items() if owner < 0]
    barriers = draw(st.integers(0, 2)) if tasks > 1 else 0
    for number in range(tasks):
        own = {probe: False for probe, owner in owners.items() if owner == number}
        task = _Task(builder.task(cpu=draw(st.integers(0, cpus - 1))), own)
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
    return builder.build(cpus, "held")


@st.composite
def _probe(draw: st.DrawFn, builder: ScenarioBuilder, parts: _Parts) -> Probe:
    function = draw(st.sampled_from(parts.functions))
    offset = draw(st.sampled_from(places(function_named(function.name))))
    callable_ones = [one for one in parts.functions if not alternatives(one.name)]
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


def _operation(draw: st.DrawFn, task: _Task, parts: _Parts) -> None:
    """Add one operation to a task."""
    sites = [one for one in parts.functions if alternatives(one.name)]
    name = draw(st.sampled_from(task.offers(parts.shared, bool(sites))))
    if name in ("call", "call_in_irq"):
        _call(draw, task, parts, name)
    elif name == "patch":
        function = draw(st.sampled_from(sites))
        task.builder.patch(function, draw(st.integers(0, len(alternatives(function.name)) - 1)))
    elif name.startswith(("register", "unregister", "enable", "disable")):
        _change(draw, task, parts, name)
    else:
        getattr(task.builder, name)()
        task.preempt += {"preempt_disable": 1, "preempt_enable": -1}.get(name, 0)
        task.irq += {"irq_disable": 1, "irq_enable": -1}.get(name, 0)


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
