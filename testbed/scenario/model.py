"""A scenario as plain data: printable, hashable, and independent of any machine.

``repr()`` of a scenario evaluates to it again; ``str()`` is the Python source that declares it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

# What a scenario is expected to end in: an honest one holds, a broken twin is violated.
VERDICTS = ("held", "violated")


class Operation(NamedTuple):
    """One step of a task; which fields matter depends on its name, see `VOCABULARY`.

    Attributes:
        name: as the method of a task that adds it, without a trailing underscore.
        probes: numbers of the probes that it is about.
        function: name of the function that it calls or patches.
        times: how often it calls.
        a, b: the arguments of the call, 64 bits each.
        cpu: the CPU in whose interrupt it calls.
        alternative: what it patches in; 0 = what was there at first.
        module: name of the module that it unloads or loads.
    """

    name: str
    probes: tuple[int, ...] = ()
    function: str = ""
    times: int = 1
    a: int = 0
    b: int = 0
    cpu: int = 0
    alternative: int = 0
    module: str = ""

    def __repr__(self) -> str:
        return _short(self, self._asdict(), self._field_defaults)


@dataclass(frozen=True)
class Kind:
    """What is known of operations of one name.

    Attributes:
        probes: how many it is about: 0, 1, or more for a batch.
        function: it names one.
        patches: it replaces what stands at the function's site.
        module: it names one.
        sleeps: it may wait, so it is not for regions with preemption or interrupts off.
        waits: it waits for another CPU's interrupt, so interrupts have to be on.
    """

    probes: int = 0
    function: bool = False
    patches: bool = False
    module: bool = False
    sleeps: bool = True
    waits: bool = False


BATCH = 8  # SCENARIO_BATCH

# A tracer is called by a trampoline of its own, or by the list of all.
TRACERS = ("trace", "trace_list")

VOCABULARY: dict[str, Kind] = {
    "register": Kind(probes=1),
    "unregister": Kind(probes=1),
    "enable": Kind(probes=1),
    "disable": Kind(probes=1),
    "register_batch": Kind(probes=BATCH),
    "unregister_batch": Kind(probes=BATCH),
    "arm_all": Kind(),
    "disarm_all": Kind(),
    "call": Kind(function=True, sleeps=False),
    "call_in_irq": Kind(function=True, sleeps=False, waits=True),
    "patch": Kind(function=True, patches=True),
    "patch_in_place": Kind(function=True, patches=True),
    "bring_up": Kind(function=True, patches=True),
    "unload": Kind(module=True),
    "load": Kind(module=True),
    "synchronize_rcu": Kind(),
    "stop_machine": Kind(),
    "preempt_disable": Kind(sleeps=False),
    "preempt_enable": Kind(sleeps=False),
    "irq_disable": Kind(sleeps=False),
    "irq_enable": Kind(sleeps=False),
    "barrier": Kind(),
    "yield": Kind(),
    "audit": Kind(),
}


@dataclass(frozen=True)
class Probe:
    """A kprobe, or a tracer of functions, that tasks register and unregister.

    Attributes:
        number: its place in the scenario.
        function, offset: where it is put, bytes from the start of the function.
        handler: one of `check.HANDLERS`; of a tracer one of `TRACERS`.
        enabled: how it is registered.
        enters: the function that a "reenter" handler calls.
        returns: what a "skip" handler makes the function return.
        delay: how long a "delay" handler, or a tracer's, spins, cycles.
        others: a tracer's further functions.
    """

    number: int
    function: str
    offset: int = 0
    handler: str = "count"
    enabled: bool = True
    enters: str = ""
    returns: int = 0
    delay: int = 0
    others: tuple[str, ...] = ()

    @property
    def traced(self) -> tuple[str, ...]:
        """The functions of a tracer, () for a kprobe."""
        return (self.function, *self.others) if self.handler in TRACERS else ()

    def __repr__(self) -> str:
        return _short(self, vars(self), _defaults(Probe))

    def __str__(self) -> str:
        return f"p{self.number}"


@dataclass(frozen=True)
class Task:
    """A task that goes through a list of operations."""

    cpu: int
    operations: tuple[Operation, ...] = ()


@dataclass(frozen=True)
class CFunction:
    """A function of a C file, which is named relative to the scenario's own file."""

    file: str
    function: str


@dataclass(frozen=True)
class CTask:
    """A task in C: ``s64 function(void *argument)``; its claim is false if it returns not 0."""

    cpu: int
    code: CFunction
    argument: int = 0


@dataclass(frozen=True)
class Interrupt:
    """What a CPU does when a device interrupts it, or an NMI, at any moment.

    Attributes:
        cpu: that is interrupted.
        operations: what it does then.
        times: it comes so often in each round, at most.
        nmi: it cannot be held off: it comes with interrupts off, too, and into other ones.
        code: in C instead of `operations`: ``s64 function(void *argument)``; its claim is false
            if it returns not 0.
        argument: for `code`.
    """

    cpu: int
    operations: tuple[Operation, ...] = ()
    times: int = 1
    nmi: bool = False
    code: CFunction | None = None
    argument: int = 0

    @property
    def name(self) -> str:
        """The method that declares it."""
        return "nmi" if self.nmi else "irq"

    def __repr__(self) -> str:
        return _short(self, vars(self), _defaults(Interrupt))


@dataclass(frozen=True)
class Scenario:
    """What happens on a few CPUs, what is claimed of it, and whether that is true.

    Attributes:
        name: a Python name.
        claim: one sentence.
        cpus: how many it needs.
        expect: "held" or "violated".
        functions: names of the functions that are called, probed or patched.
        probes: by number.
        tasks: what runs at once; each on its CPU.
        before, after: C functions ``s64 f(void)`` that are called alone before and after each
            round; a claim is false if one returns not 0.
        poke: how text is changed, one of `testbed.config.Poke`.
        fail_arm: arming a probe fails once in so many times; 0 = never.
        interrupts: what comes when it likes, each on its CPU.
        preempt: where a task may lose its CPU, one of `testbed.config.Preempt`.
        file: where it was declared, "" if that is not known.
    """

    name: str
    claim: str
    cpus: int
    expect: str
    functions: tuple[str, ...] = ()
    probes: tuple[Probe, ...] = ()
    tasks: tuple[Task | CTask, ...] = ()
    before: CFunction | None = None
    after: CFunction | None = None
    poke: str = "int3"
    fail_arm: int = 0
    interrupts: tuple[Interrupt, ...] = ()
    preempt: str = "full"
    file: str = dataclasses.field(default="", compare=False, repr=False)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The operations of all tasks and interrupts."""
        with_some = (one for one in (*self.tasks, *self.interrupts) if not isinstance(one, CTask))
        return tuple(operation for one in with_some for operation in one.operations)

    @property
    def c_functions(self) -> tuple[CFunction, ...]:
        """What it has in C."""
        tasks = tuple(task.code for task in self.tasks if isinstance(task, CTask))
        others = (self.before, self.after, *(one.code for one in self.interrupts))
        return tasks + tuple(one for one in others if one is not None)

    def __str__(self) -> str:
        return "\n".join(_source(self)) + "\n"


def _defaults(kind: Any) -> dict[str, Any]:
    return {name: field.default for name, field in kind.__dataclass_fields__.items()}


def _short(value: Any, fields: dict[str, Any], defaults: dict[str, Any]) -> str:
    """Return a call that makes `value`, without arguments that have their default."""
    shown = [
        f"{name}={item!r}" for name, item in fields.items()
        if name not in defaults or item != defaults[name]
    ]
    return f"{type(value).__name__}({', '.join(shown)})"


def _source(scenario: Scenario) -> Iterator[str]:
    options = [f"cpus={scenario.cpus}"]
    if scenario.expect != VERDICTS[0]:
        options.append(f"expect={scenario.expect!r}")
    options += [
        f"{name}={getattr(scenario, name)!r}" for name in ("poke", "fail_arm", "preempt")
        if getattr(scenario, name) != _defaults(Scenario)[name]
    ]
    names = _variables(scenario.functions)
    yield f"@scenario({', '.join(options)})"
    yield f"def {scenario.name}(m):"
    claim = scenario.claim.replace("\\", "\\\\").replace('"', '\\"')
    yield f'    """{claim}"""'
    for name in scenario.functions:
        yield f"    {names[name]} = m.function({name!r})"
    for probe in scenario.probes:
        if probe.traced:
            yield f"    {probe} = m.ftrace({', '.join(_tracer_arguments(probe, names))})"
        else:
            yield f"    {probe} = m.kprobe({', '.join(_probe_arguments(probe, names))})"
    for role in ("before", "after"):
        code = getattr(scenario, role)
        if code is not None:
            yield f"    m.{role}({code.file!r}, {code.function!r})"
    for task in scenario.tasks:
        yield from _task_source(scenario, task, names)
    for interrupt in scenario.interrupts:
        yield from _interrupt_source(scenario, interrupt, names)


def _variables(functions: tuple[str, ...]) -> dict[str, str]:
    """Return a Python name for each function; none looks like that of a probe."""
    return {
        name: "f" if len(functions) == 1 else re.sub(r"\W|^p(?=\d+$)", "_", name)
        for name in functions
    }


def _probe_arguments(probe: Probe, names: dict[str, str]) -> Iterator[str]:
    yield names[probe.function]
    for field, default in _defaults(Probe).items():
        value = getattr(probe, field)
        if field not in ("number", "function") and value != default:
            yield f"{field}={names[value] if field == 'enters' else repr(value)}"


def _tracer_arguments(probe: Probe, names: dict[str, str]) -> Iterator[str]:
    yield from (names[name] for name in probe.traced)
    if probe.handler != TRACERS[0]:
        yield "trampoline=False"
    if probe.delay:
        yield f"delay={probe.delay}"


def _task_source(
    scenario: Scenario, task: Task | CTask, names: dict[str, str]
) -> Iterator[str]:
    if isinstance(task, CTask):
        where = f"{task.code.file!r}, {task.code.function!r}, cpu={task.cpu}"
        argument = f", argument={task.argument}" if task.argument else ""
        yield f"    m.c_task({where}{argument})"
        return
    yield from _chain(f"    m.task(cpu={task.cpu})", scenario, task.operations, names)


def _interrupt_source(
    scenario: Scenario, interrupt: Interrupt, names: dict[str, str]
) -> Iterator[str]:
    arguments = [f"cpu={interrupt.cpu}"]
    arguments += [f"argument={interrupt.argument}"] if interrupt.argument else []
    arguments += [f"times={interrupt.times}"] if interrupt.times != 1 else []
    if interrupt.code is not None:
        where = [repr(interrupt.code.file), repr(interrupt.code.function)]
        yield f"    m.c_{interrupt.name}({', '.join(where + arguments)})"
        return
    head = f"    m.{interrupt.name}({', '.join(arguments)})"
    yield from _chain(head, scenario, interrupt.operations, names)


def _chain(
    line: str, scenario: Scenario, operations: tuple[Operation, ...], names: dict[str, str]
) -> Iterator[str]:
    calls = [operation_source(scenario, operation, names) for operation in operations]
    if len(line) + sum(map(len, calls)) <= 100:
        yield line + "".join(calls)
        return
    yield f"    ({line.strip()}"
    yield from (f"        {call}" for call in calls[:-1])
    yield f"        {calls[-1]})"


def operation_source(
    scenario: Scenario, operation: Operation, names: dict[str, str] | None = None
) -> str:
    """Return the method call that adds `operation` to a task."""
    kind = VOCABULARY[operation.name]
    parts = [str(scenario.probes[number]) for number in operation.probes]
    if operation.name == "call_in_irq":
        parts.append(str(operation.cpu))
    if kind.function:
        parts.append((names or {}).get(operation.function, operation.function))
    if kind.module:
        parts.append(repr(operation.module))
    if kind.patches:
        parts.append(str(operation.alternative))
    if operation.times != 1:
        parts.append(f"times={operation.times}")
    parts += [f"{name}={getattr(operation, name)}" for name in "ab" if getattr(operation, name)]
    method = "yield_" if operation.name == "yield" else operation.name
    return f".{method}({', '.join(parts)})"
