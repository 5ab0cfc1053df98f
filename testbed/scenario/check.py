"""What is wrong with a scenario, as far as that is sure before it runs.

A sentence names the scenario, the place and the value. What depends on which task comes first is
not wrong: the machine counts it as misuse when it happens.
"""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache

from testbed.config import Poke, Preempt
from testbed.errors import TestbedError
from testbed.scenario.model import (
    VERDICTS,
    VOCABULARY,
    Interrupt,
    Operation,
    Probe,
    Scenario,
    Task,
    operation_source,
)
from testbed.text.image import Image, build_image
from testbed.text.model import (
    NOP5,
    TEXT_BASE,
    FunctionFlag,
    InsnClass,
    InsnFlag,
    PatchSite,
    TextFunction,
)  # fmt: skip

__all__ = [
    "HANDLERS", "ScenarioError", "alternatives", "check", "check_probe", "check_tracer", "closure",
    "function_named", "modules", "own_image", "places", "site_of", "unloadable",
]  # fmt: skip

# workers/kernel/probe_handlers.h.
HANDLERS = ("count", "delay", "reenter", "skip", "post_count", "unregister_elsewhere")

MAX_TASKS, MAX_PROBES, MAX_MET = 32, 64, 16  # SCENARIO_TASKS, SCENARIO_PROBES, JUDGE_SLOTS
MAX_TRACED = 4  # JUDGE_TRACED
MAX_CPUS = 64
MAX_INTERRUPTS, MAX_LINES = 32, 8  # SCENARIO_INTERRUPTS, IRQ_LINES
MAX_INTERRUPT_TIMES = 255
MAX_TIMES = 1_000_000


class ScenarioError(TestbedError):
    """A scenario says something that cannot be meant."""


@cache
def own_image() -> Image:
    """Return the assembled functions, which are the same in every image."""
    return build_image(library=None, imports={})


def function_named(name: str) -> TextFunction:
    """Return an assembled function.

    Raises:
        ScenarioError: there is none of that name.
    """
    try:
        return own_image().function(name)
    except KeyError:
        names = sorted(function.name for function in own_image().functions)
        close = get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}"
        raise ScenarioError(f"function {name!r}: no such function; {hint}") from None


def places(function: TextFunction) -> tuple[int, ...]:
    """Return the offsets in a function that take a probe."""
    if function.flags & FunctionFlag.NOPROBE:
        return ()
    start = function.addr - TEXT_BASE
    rows = own_image().text_map[start : start + function.size]
    return tuple(
        offset for offset in own_image().boundaries(function)
        if rows[offset]["class"] not in (InsnClass.NONE, InsnClass.REFUSED)
        and not rows[offset]["flags"] & InsnFlag.PATCHABLE
    )  # fmt: skip


def site_of(name: str) -> PatchSite | None:
    """Return what may be patched in a function."""
    return next((site for site in own_image().sites if site.function == name), None)


def modules() -> tuple[str, ...]:
    """Return the names of the image's modules; the first one stays, the others can be unloaded."""
    return tuple(module.name for module in own_image().modules)


def unloadable(scenario: Scenario, name: str) -> int:
    """Return the number of the module that `scenario` unloads and a function is in, else 0."""
    unloaded = {one.module for one in scenario.operations if one.name == "unload"}
    numbers = [function_named(one).module for one in closure(name)]
    return next((number for number in numbers if modules()[number] in unloaded), 0)


def alternatives(name: str) -> tuple[str, ...]:
    """Return what may stand at a function's site, by number; () = it has none."""
    site = site_of(name)
    return ("unpatched", *(one.name for one in site.alternatives)) if site else ()


@cache
def closure(name: str) -> tuple[str, ...]:
    """Return a function and all that each call of it enters exactly once, itself first."""
    found = [name]
    for callee in function_named(name).callees:
        found += closure(callee)
    return tuple(found)


def check_probe(probe: Probe) -> None:
    """Raise ScenarioError if `probe` cannot be registered, or its handler cannot run."""
    function = function_named(probe.function)
    here = f"kprobe on {probe.function}+{probe.offset}"
    if probe.handler not in HANDLERS:
        raise ScenarioError(
            f"{here}: handler {probe.handler!r}: there are {', '.join(HANDLERS)}"
        )
    if probe.offset not in places(function):
        take = ", ".join(map(str, places(function))) or "none"
        raise ScenarioError(f"{here}: no probe can be put there; offsets that take one: {take}")
    if probe.handler == "skip" and probe.offset:
        raise ScenarioError(f"{here}: a skip handler returns from a function at its entry only")
    if (probe.handler == "reenter") != bool(probe.enters):
        raise ScenarioError(f"{here}: enters= is what a reenter handler calls, and it needs one")
    if probe.returns and probe.handler != "skip":
        raise ScenarioError(f"{here}: returns= is for a skip handler")
    if probe.delay and probe.handler != "delay":
        raise ScenarioError(f"{here}: delay= is for a delay handler")
    if probe.enters:
        entered = function_named(probe.enters)
        if entered.expected is None or site_of(probe.enters):
            raise ScenarioError(
                f"{here}: enters={probe.enters}: only what takes two numbers, and is never "
                "patched, can be called by a handler"
            )


def check_tracer(probe: Probe) -> None:
    """Raise ScenarioError if the tracer `probe` cannot be registered, or not be judged."""
    here = f"ftrace of {', '.join(probe.traced)}"
    if len(probe.traced) > MAX_TRACED or len(set(probe.traced)) < len(probe.traced):
        raise ScenarioError(f"{here}: 1 to {MAX_TRACED} functions, each once")
    for name in probe.traced:
        if not function_named(name).flags & FunctionFlag.TRACED:
            able = [one.name for one in own_image().functions if one.flags & FunctionFlag.TRACED]
            raise ScenarioError(f"{here}: {name} cannot be traced; there are {', '.join(able)}")
        called = set(closure(name)[1:]) & set(probe.traced)
        if called:
            raise ScenarioError(f"{here}: {name} calls {min(called)}: a call would hit it twice")


def check(scenario: Scenario) -> None:
    """Raise ScenarioError if `scenario` is surely not meant so."""
    for problem in _problems(scenario):
        raise ScenarioError(f"{scenario.name}: {problem}")


def _problems(scenario: Scenario) -> Iterator[str]:
    if not scenario.claim:
        yield "it claims nothing: its docstring is the claim"
    if scenario.expect not in VERDICTS:
        yield f"expect={scenario.expect!r}: a scenario is expected to be {' or '.join(VERDICTS)}"
    if not 1 <= scenario.cpus <= MAX_CPUS:
        yield f"cpus={scenario.cpus}: a machine has 1 to {MAX_CPUS} CPUs"
    if not 1 <= len(scenario.tasks) <= MAX_TASKS:
        yield f"{len(scenario.tasks)} tasks: a scenario has 1 to {MAX_TASKS}"
    if len(scenario.probes) > MAX_PROBES:
        yield f"{len(scenario.probes)} probes: a scenario has at most {MAX_PROBES}"
    for name in scenario.functions:
        met = [p for p in scenario.probes if {p.function, *p.traced} & set(closure(name))]
        if len(met) > MAX_MET:
            yield f"{name}: a call of it meets {len(met)} probes, at most {MAX_MET} are judged"
    for number, task in enumerate(scenario.tasks):
        if not 0 <= task.cpu < scenario.cpus:
            yield f"task {number}: cpu={task.cpu}: its CPUs are 0 to {scenario.cpus - 1}"
        if isinstance(task, Task):
            yield from _problems_of_task(scenario, number, task)
    yield from _interrupts(scenario)
    traced = {name for probe in scenario.probes for name in probe.traced}
    for probe in scenario.probes:
        if probe.enters and traced & set(closure(probe.enters)):
            yield f"enters={probe.enters}: it is traced, and a handler's calls are not judged so"
        if probe.enters and unloadable(scenario, probe.enters):
            yield f"enters={probe.enters}: a handler does not hold the module, which is unloaded"
    for interrupt in scenario.interrupts:
        for operation in interrupt.operations:
            if interrupt.nmi and operation.function and unloadable(scenario, operation.function):
                yield f"{operation.function}: an NMI cannot hold the module, which is unloaded"
    if scenario.poke not in tuple(Poke):
        yield f"poke={scenario.poke!r}: text is poked by {' or '.join(Poke)}"
    if scenario.preempt not in tuple(Preempt):
        yield f"preempt={scenario.preempt!r}: it is {' or '.join(Preempt)}"
    if scenario.fail_arm < 0:
        yield f"fail_arm={scenario.fail_arm}: 0 or more"
    yield from _barriers(scenario)
    yield from _lives(scenario)


def _in_place(scenario: Scenario, operation: Operation) -> Iterator[str]:
    """Tell who else runs what is patched for the CPU of one task alone."""
    site = site_of(operation.function)
    if site is not None and site.old_bytes != NOP5:
        yield f"{operation.function} has several instructions there: a task may be between them"
    patching = {
        task.cpu for task in scenario.tasks
        if isinstance(task, Task) and operation in task.operations
    }
    running = {
        one.cpu if one.name == "call_in_irq" else task.cpu
        for task in scenario.tasks if isinstance(task, Task)
        for one in task.operations
        if one.name in ("call", "call_in_irq") and operation.function in closure(one.function)
    } | {
        interrupt.cpu for interrupt in scenario.interrupts for one in interrupt.operations
        if one.name == "call" and operation.function in closure(one.function)
    }
    others = ", ".join(f"CPU {cpu}" for cpu in sorted(patching | running))
    if len(patching | running) > 1:
        yield f"only one CPU may have to do with {operation.function}: there are {others}"
    if any(
        interrupt.nmi and one.name == "call" and operation.function in closure(one.function)
        for interrupt in scenario.interrupts for one in interrupt.operations
    ):  # fmt: skip
        yield f"an NMI runs {operation.function}, and may come while it is half written"


def _problems_of_task(scenario: Scenario, number: int, task: Task) -> Iterator[str]:
    preempt = irq = 0
    for step, operation in enumerate(task.operations):
        kind = VOCABULARY[operation.name]
        here = _place(scenario, number, step, operation)
        off = "interrupts are off" if irq else "preemption is off" if preempt else ""
        if kind.sleeps and off:
            yield f"{here}: {off} there, and it may sleep"
        if kind.waits and irq:
            yield f"{here}: interrupts are off there, and it waits for one"
        yield from (f"{here}: {problem}" for problem in _values(scenario, operation))
        preempt += {"preempt_disable": 1, "preempt_enable": -1}.get(operation.name, 0)
        irq += {"irq_disable": 1, "irq_enable": -1}.get(operation.name, 0)
        if preempt < 0:
            yield f"{here}: preemption is not off there"
        if not 0 <= irq <= 1:
            yield f"{here}: interrupts are {'on' if irq < 0 else 'off'} there already"
    if preempt or irq:
        yield f"task {number}: {'interrupts' if irq else 'preemption'} still off at its end"


def _interrupts(scenario: Scenario) -> Iterator[str]:
    if len(scenario.interrupts) > MAX_INTERRUPTS:
        yield f"{len(scenario.interrupts)} interrupts: a scenario has at most {MAX_INTERRUPTS}"
    for cpu in range(scenario.cpus):
        lines = sum(interrupt.cpu == cpu for interrupt in scenario.interrupts)
        if lines > MAX_LINES:
            yield f"{lines} interrupts of CPU {cpu}: it has at most {MAX_LINES}"
    for number, interrupt in enumerate(scenario.interrupts):
        here = f"{interrupt.name} {number}"
        if not 0 <= interrupt.cpu < scenario.cpus:
            yield f"{here}: cpu={interrupt.cpu}: its CPUs are 0 to {scenario.cpus - 1}"
        if not 1 <= interrupt.times <= MAX_INTERRUPT_TIMES:
            yield f"{here}: times={interrupt.times}: 1 to {MAX_INTERRUPT_TIMES}"
        yield from _problems_of_interrupt(scenario, here, interrupt)
    changed = next((one for one in scenario.operations if VOCABULARY[one.name].patches), None)
    nmi = any(one.nmi for one in scenario.interrupts)
    if scenario.poke == Poke.STOP_MACHINE and changed and nmi:
        yield (
            f"poke='stop_machine' with {changed.name}() and an NMI: it comes into what is stopped "
            "too, and may run the instruction while it is half written"
        )


def _problems_of_interrupt(
    scenario: Scenario, name: str, interrupt: Interrupt
) -> Iterator[str]:
    preempt, irq = 0, 1
    for step, operation in enumerate(interrupt.operations):
        kind = VOCABULARY[operation.name]
        here = f"{name}, step {step + 1} {operation_source(scenario, operation)}"
        if kind.sleeps:
            yield f"{here}: it may sleep, which an interrupt must not"
        if kind.waits:
            yield f"{here}: it waits for another interrupt, which an interrupt must not"
        if interrupt.nmi and operation.name.startswith("irq_"):
            yield f"{here}: interrupts are off in an NMI, and stay so"
        yield from (f"{here}: {problem}" for problem in _values(scenario, operation))
        preempt += {"preempt_disable": 1, "preempt_enable": -1}.get(operation.name, 0)
        irq += {"irq_disable": 1, "irq_enable": -1}.get(operation.name, 0)
        if preempt < 0:
            yield f"{here}: preemption was not off when it came"
        if not 0 <= irq <= 1:
            yield f"{here}: interrupts are {'on' if irq < 0 else 'off'} there already"
    if preempt:
        yield f"{name}: preemption still off at its end"
    if not irq:
        yield f"{name}: interrupts still on at its end"


def _values(scenario: Scenario, operation: Operation) -> Iterator[str]:
    if VOCABULARY[operation.name].function and operation.function not in scenario.functions:
        yield f"function {operation.function} is not of this scenario: use m.function() of its m"
    elif operation.name in ("call", "call_in_irq"):
        if function_named(operation.function).expected is None:
            yield f"{operation.function} cannot be called with two numbers"
    elif VOCABULARY[operation.name].patches:
        known = alternatives(operation.function)
        if not known:
            sites = ", ".join(site.function for site in own_image().sites)
            yield f"{operation.function} has no patch site; those that have: {sites}"
        elif not 0 <= operation.alternative < len(known):
            yield f"alternative {operation.alternative}: there are 0 to {len(known) - 1}"
    if operation.name == "patch_in_place":
        yield from _in_place(scenario, operation)
    if VOCABULARY[operation.name].module and operation.module not in modules()[1:]:
        yield f"module {operation.module!r}: there are {', '.join(modules()[1:])}"
    if not 1 <= operation.times <= MAX_TIMES:
        yield f"times={operation.times}: 1 to {MAX_TIMES}"
    if not 0 <= operation.cpu < scenario.cpus:
        yield f"cpu={operation.cpu}: its CPUs are 0 to {scenario.cpus - 1}"
    if not all(0 <= value < 2**64 for value in (operation.a, operation.b)):
        yield f"a={operation.a}, b={operation.b}: arguments are numbers of 64 bits"
    tracers = [number for number in operation.probes if scenario.probes[number].traced]
    if tracers and operation.name not in ("register", "unregister"):
        yield f"p{tracers[0]} is a tracer, which is registered and unregistered, and nothing else"
    most = VOCABULARY[operation.name].probes
    count = len(operation.probes)
    if count > most or (count == 0) != (most == 0):
        yield f"{count} probes: a batch has 1 to {most}"
    if len(set(operation.probes)) < count:
        yield "the same probe twice"


def _barriers(scenario: Scenario) -> Iterator[str]:
    counts = {
        number: sum(operation.name == "barrier" for operation in task.operations)
        for number, task in enumerate(scenario.tasks) if isinstance(task, Task)
    }
    some = {number: count for number, count in counts.items() if count}
    if len(set(some.values())) > 1:
        told = ", ".join(f"task {number} has {count}" for number, count in some.items())
        yield f"barriers: all tasks that have one need as many, else they wait for ever: {told}"


def _lives(scenario: Scenario) -> Iterator[str]:
    """Tell what is done to a probe that is surely not, or surely already, registered."""
    changers = _tasks_that(scenario, ("register", "unregister"))
    for probe in scenario.probes:
        tasks = changers.get(probe.number, ())
        registered = probe.number in _tasks_that(scenario, ("register",))
        for number, task in enumerate(scenario.tasks):
            if not isinstance(task, Task):
                continue
            if not registered:
                yield from _used(scenario, probe, number, task)
            elif tuple(tasks) == (number,):
                yield from _life(scenario, probe, number, task)


def _tasks_that(scenario: Scenario, names: Sequence[str]) -> Mapping[int, Sequence[int]]:
    """Return the tasks that do such a thing to a probe, by its number."""
    found: dict[int, list[int]] = {}
    for number, task in enumerate(scenario.tasks):
        for operation in task.operations if isinstance(task, Task) else ():
            if operation.name.removesuffix("_batch") in names:
                for probe in operation.probes:
                    if number not in found.setdefault(probe, []):
                        found[probe].append(number)
    return found


def _used(scenario: Scenario, probe: Probe, number: int, task: Task) -> Iterator[str]:
    for step, operation in enumerate(task.operations):
        if probe.number in operation.probes:
            yield f"{_place(scenario, number, step, operation)}: {probe} is never registered"


def _life(scenario: Scenario, probe: Probe, number: int, task: Task) -> Iterator[str]:
    """Tell of one probe that only this task registers and unregisters."""
    registered = False
    for step, operation in enumerate(task.operations):
        if probe.number not in operation.probes:
            continue
        registers = operation.name.startswith("register")
        if registers == registered:
            how = "already registered" if registered else "not registered"
            yield f"{_place(scenario, number, step, operation)}: {probe} is {how} there"
        registered = not operation.name.startswith("unregister")


def _place(scenario: Scenario, number: int, step: int, operation: Operation) -> str:
    return f"task {number}, step {step + 1} {operation_source(scenario, operation)}"
