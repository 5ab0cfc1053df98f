"""How scenarios are written: a function that declares probes and tasks, made into data at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from testbed.scenario.check import (
    ScenarioError,
    alternatives,
    check,
    check_probe,
    check_tracer,
    function_named,
)
from testbed.scenario.model import (
    TRACERS,
    CFunction,
    CTask,
    Interrupt,
    Operation,
    Probe,
    Scenario,
    Task,
)

MASK = 2**64 - 1


@dataclass(frozen=True)
class Function:
    """A function of a scenario, and where in it a probe is put: bytes from its start."""

    name: str
    offset: int = 0


def scenario(
    cpus: int = 2, expect: str = "held", poke: str = "int3", fail_arm: int = 0,
    preempt: str = "full",
) -> Callable[[Callable[[ScenarioBuilder], object]], Scenario]:
    """Return a decorator that makes a scenario of a function, whose docstring is the claim.

    Args:
        cpus: how many it needs.
        expect: "held", or "violated" for a scenario that shows a fault.
        poke: how text is changed, "int3" or "stop_machine".
        fail_arm: arming a probe fails once in so many times; 0 = never.
        preempt: where a task may lose its CPU, "full" or "none".

    Raises:
        ScenarioError: something in it cannot be meant; one sentence tells what.
    """

    def make(declare: Callable[[ScenarioBuilder], object]) -> Scenario:
        builder = ScenarioBuilder(declare.__name__, " ".join((declare.__doc__ or "").split()))
        try:
            declare(builder)
        except ScenarioError as error:
            raise ScenarioError(f"{declare.__name__}: {error}") from None
        made = builder.build(cpus, expect, poke, fail_arm, preempt)
        return replace(made, file=declare.__code__.co_filename)

    return make


class ScenarioBuilder:
    """What a scenario is declared with: ``m``."""

    def __init__(self, name: str, claim: str) -> None:
        self._name, self._claim = name, claim
        self._functions: list[str] = []
        self._probes: list[Probe] = []
        self._tasks: list[TaskBuilder | CTask] = []
        self._interrupts: list[InterruptBuilder | Interrupt] = []
        self._before: CFunction | None = None
        self._after: CFunction | None = None

    def function(self, name: str, offset: int = 0) -> Function:
        """Return a function under test, to be called, probed and patched.

        Args:
            name: of an assembled function, such as "push_rbp".
            offset: bytes from its start, where `kprobe` puts a probe.
        """
        function_named(name)
        if name not in self._functions:
            self._functions.append(name)
        return Function(name, offset)

    def kprobe(
        self,
        function: Function,
        offset: int = 0,
        handler: str = "count",
        enabled: bool = True,
        *,
        enters: Function | None = None,
        returns: int = 0,
        delay: int = 0,
    ) -> Probe:
        """Return a probe, to be registered by a task.

        Args:
            function: from `function`.
            offset: bytes from there; the start of an instruction that takes a probe.
            handler: what it does; one of `check.HANDLERS`.
            enabled: False = registering it does not arm it.
            enters: the function that a "reenter" handler calls.
            returns: what a "skip" handler makes the function return.
            delay: how long a "delay" handler spins, cycles.
        """
        for name in (_name_of(function, whole=False), _name_of(enters) if enters else ""):
            if name and name not in self._functions:
                raise ScenarioError(f"kprobe on {name}: it is not a function of this scenario")
        probe = Probe(
            len(self._probes), function.name, function.offset + offset, handler, enabled,
            _name_of(enters) if enters else "", returns & MASK, delay,
        )  # fmt: skip
        check_probe(probe)
        self._probes.append(probe)
        return probe

    def ftrace(self, *functions: Function, trampoline: bool = True, delay: int = 0) -> Probe:
        """Return a tracer, to be registered by a task: each call of a function hits it.

        Args:
            functions: from `function`; 1 to 4 that can be traced, such as "traced_sum".
            trampoline: False = it has none of its own, and is always called by the list.
            delay: how long its callback spins, cycles.
        """
        names = [_name_of(function) for function in functions]
        for name in names:
            if name not in self._functions:
                raise ScenarioError(f"ftrace of {name}: it is not a function of this scenario")
        if not names:
            raise ScenarioError("ftrace: which functions?")
        probe = Probe(
            len(self._probes), names[0], handler=TRACERS[not trampoline], delay=delay,
            others=tuple(names[1:]),
        )  # fmt: skip
        check_tracer(probe)
        self._probes.append(probe)
        return probe

    def task(self, cpu: int = 0) -> TaskBuilder:
        """Return a new task, to which operations are added by calling its methods in a chain."""
        task = TaskBuilder(self, cpu)
        self._tasks.append(task)
        return task

    def c_task(self, file: str, function: str, cpu: int = 0, argument: int = 0) -> None:
        """Add a task in C, ``s64 function(void *argument)``; its claim is false if not 0.

        Args:
            file: beside the scenario's own file, written with the vocabulary of the kernel.
            function: called once in each round.
            cpu: where it runs.
            argument: what it gets.
        """
        self._tasks.append(CTask(cpu, CFunction(file, function), argument & MASK))

    def irq(self, cpu: int = 0, times: int = 1) -> InterruptBuilder:
        """Return what a device does on a CPU when it interrupts, to which operations are added.

        It comes at any moment when interrupts are on there, which may be never.

        Args:
            cpu: that is interrupted.
            times: so often in each round, at most; 1 to 255.
        """
        return self._interrupt(cpu, times, nmi=False)

    def nmi(self, cpu: int = 0, times: int = 1) -> InterruptBuilder:
        """Return the same for an NMI: it comes into everything but itself; see `irq`."""
        return self._interrupt(cpu, times, nmi=True)

    def c_irq(
        self, file: str, function: str, cpu: int = 0, argument: int = 0, times: int = 1
    ) -> None:
        """Have ``s64 function(void *argument)`` called as by `irq`; its claim is false if not 0."""
        code = CFunction(file, function)
        self._interrupts.append(Interrupt(cpu, (), times, False, code, argument & MASK))

    def c_nmi(
        self, file: str, function: str, cpu: int = 0, argument: int = 0, times: int = 1
    ) -> None:
        """Have ``s64 function(void *argument)`` called as by `nmi`; its claim is false if not 0."""
        code = CFunction(file, function)
        self._interrupts.append(Interrupt(cpu, (), times, True, code, argument & MASK))

    def _interrupt(self, cpu: int, times: int, *, nmi: bool) -> InterruptBuilder:
        interrupt = InterruptBuilder(self, cpu, times, nmi)
        self._interrupts.append(interrupt)
        return interrupt

    def before(self, file: str, function: str) -> None:
        """Have ``s64 function(void)`` called alone before each round."""
        self._before = CFunction(file, function)

    def after(self, file: str, function: str) -> None:
        """Have ``s64 function(void)`` called alone after each round; its claim is 0."""
        self._after = CFunction(file, function)

    def build(
        self, cpus: int, expect: str, poke: str = "int3", fail_arm: int = 0,
        preempt: str = "full",
    ) -> Scenario:
        """Return the scenario.

        Raises:
            ScenarioError: something in it cannot be meant.
        """
        tasks = tuple(task if isinstance(task, CTask) else task.build() for task in self._tasks)
        made = Scenario(
            self._name, self._claim, cpus, expect, tuple(self._functions), tuple(self._probes),
            tasks, self._before, self._after, poke, fail_arm,
            tuple(
                one if isinstance(one, Interrupt) else one.build_interrupt()
                for one in self._interrupts
            ), preempt,
        )  # fmt: skip
        check(made)
        return made

    def number_of(self, probe: Probe) -> int:
        """Return the number of a probe of this scenario.

        Raises:
            ScenarioError: it is of another one.
        """
        if not any(one is probe for one in self._probes):
            raise ScenarioError(f"{probe!r} is not of this scenario: use m.kprobe() of its m")
        return probe.number


class TaskBuilder:
    """A task that is being declared: each method adds an operation and returns the task."""

    def __init__(self, scenario: ScenarioBuilder, cpu: int) -> None:
        self._scenario, self._cpu = scenario, cpu
        self._operations: list[Operation] = []

    def build(self) -> Task:
        """Return the task."""
        return Task(self._cpu, tuple(self._operations))

    def register(self, probe: Probe) -> TaskBuilder:
        """Allocate a kprobe or tracer and register it."""
        return self._probes("register", probe)

    def unregister(self, probe: Probe) -> TaskBuilder:
        """Unregister a kprobe or tracer and free it."""
        return self._probes("unregister", probe)

    def enable(self, probe: Probe) -> TaskBuilder:
        """Enable a registered kprobe."""
        return self._probes("enable", probe)

    def disable(self, probe: Probe) -> TaskBuilder:
        """Disable a registered kprobe."""
        return self._probes("disable", probe)

    def register_batch(self, *probes: Probe) -> TaskBuilder:
        """Register up to 8 kprobes by one call; all or none."""
        return self._probes("register_batch", *probes)

    def unregister_batch(self, *probes: Probe) -> TaskBuilder:
        """Unregister up to 8 kprobes by one call, with one grace period."""
        return self._probes("unregister_batch", *probes)

    def arm_all(self) -> TaskBuilder:
        """Put the breakpoints of all enabled kprobes back."""
        return self._add(Operation("arm_all"))

    def disarm_all(self) -> TaskBuilder:
        """Take the breakpoints of all kprobes out."""
        return self._add(Operation("disarm_all"))

    def call(self, function: Function, times: int = 1, a: int = 0, b: int = 0) -> TaskBuilder:
        """Call a function and judge hits and result of each call."""
        named = _name_of(function)
        return self._add(Operation("call", (), named, times, a & MASK, b & MASK))

    def call_in_irq(
        self, cpu: int, function: Function, times: int = 1, a: int = 0, b: int = 0
    ) -> TaskBuilder:
        """Have a CPU call a function in an interrupt, by a cross call, and wait for it."""
        named = _name_of(function)
        return self._add(Operation("call_in_irq", (), named, times, a & MASK, b & MASK, cpu))

    def patch(self, function: Function, alternative: int | str = 1) -> TaskBuilder:
        """Replace the instruction at a function's site.

        Args:
            function: one with a site, such as "site_call".
            alternative: what stands there then, by number or name; 0 = what was there at first.
        """
        return self._patches("patch", function, alternative)

    def patch_in_place(self, function: Function, alternative: int | str = 1) -> TaskBuilder:
        """Do the same at once, for a function that no other CPU runs; see `patch`."""
        return self._patches("patch_in_place", function, alternative)

    def bring_up(self, function: Function, alternative: int | str = 1) -> TaskBuilder:
        """Do the same as who brings a CPU up, with the set of CPUs locked; see `patch`."""
        return self._patches("bring_up", function, alternative)

    def unload(self, module: str) -> TaskBuilder:
        """Unload a module, unless somebody holds it: its probes are gone then.

        Args:
            module: such as "loadable", in which the functions are whose names begin so. Calls of
                them are not made while it is not there.
        """
        return self._add(Operation("unload", module=module))

    def load(self, module: str) -> TaskBuilder:
        """Load a module that was unloaded; see `unload`."""
        return self._add(Operation("load", module=module))

    def synchronize_rcu(self) -> TaskBuilder:
        """Wait for a grace period."""
        return self._add(Operation("synchronize_rcu"))

    def stop_machine(self) -> TaskBuilder:
        """Stop every CPU for a moment."""
        return self._add(Operation("stop_machine"))

    def preempt_disable(self) -> TaskBuilder:
        """Begin a region that is not preempted, which is an RCU reader too; they nest."""
        return self._add(Operation("preempt_disable"))

    def preempt_enable(self) -> TaskBuilder:
        """End it."""
        return self._add(Operation("preempt_enable"))

    def irq_disable(self) -> TaskBuilder:
        """Begin a region without interrupts."""
        return self._add(Operation("irq_disable"))

    def irq_enable(self) -> TaskBuilder:
        """End it."""
        return self._add(Operation("irq_enable"))

    def barrier(self) -> TaskBuilder:
        """Wait for all tasks that have a barrier too."""
        return self._add(Operation("barrier"))

    def yield_(self) -> TaskBuilder:
        """Let other tasks of this CPU run."""
        return self._add(Operation("yield"))

    def audit(self) -> TaskBuilder:
        """Check that the tables of kprobes agree with text."""
        return self._add(Operation("audit"))

    def _patches(self, name: str, function: Function, alternative: int | str) -> TaskBuilder:
        if isinstance(alternative, str):
            known = alternatives(_name_of(function))
            if alternative not in known:
                told = ", ".join(known) or "none"
                raise ScenarioError(f"{name}({function.name}, {alternative!r}): there are {told}")
            alternative = known.index(alternative)
        return self._add(Operation(name, (), _name_of(function), alternative=alternative))

    def _probes(self, name: str, *probes: Probe) -> TaskBuilder:
        numbers = tuple(self._scenario.number_of(probe) for probe in probes)
        return self._add(Operation(name, numbers))

    def _add(self, operation: Operation) -> TaskBuilder:
        self._operations.append(operation)
        return self


class InterruptBuilder(TaskBuilder):
    """An interrupt that is being declared, as a task is; it takes what does not sleep."""

    def __init__(self, scenario: ScenarioBuilder, cpu: int, times: int, nmi: bool) -> None:
        super().__init__(scenario, cpu)
        self._times, self._nmi = times, nmi

    def build_interrupt(self) -> Interrupt:
        """Return the interrupt."""
        return Interrupt(self._cpu, tuple(self._operations), self._times, self._nmi)


def _name_of(function: object, whole: bool = True) -> str:
    if not isinstance(function, Function):
        raise ScenarioError(f"function {function!r}: functions come from m.function()")
    if function.offset and whole:
        raise ScenarioError(
            f"{function.name}+{function.offset}: only a whole function is called or patched"
        )
    return function.name
