"""Tracers of functions that come and go while the functions are called."""

from testbed.scenario import ScenarioBuilder, scenario


@scenario(cpus=2)
def trace_vs_call(m: ScenarioBuilder) -> None:
    """A tracer is hit by each call while it is registered, and by none after that."""
    f = m.function("traced_sum")
    tracer = m.ftrace(f)
    m.task(cpu=0).register(tracer).unregister(tracer)
    m.task(cpu=1).call(f, times=2)


@scenario(cpus=2)
def one_two_one(m: ScenarioBuilder) -> None:
    """A function that has one tracer, then two, then one again, hits those that it has."""
    f = m.function("traced_sum")
    first, second = m.ftrace(f), m.ftrace(f)
    m.task(cpu=0).register(first).register(second).unregister(first).unregister(second)
    m.task(cpu=1).call(f, times=4)


@scenario(cpus=2)
def preempted_on_trampoline(m: ScenarioBuilder) -> None:
    """A trampoline stays as long as a task that lost its CPU there has to come back."""
    f = m.function("traced_mix")
    tracer = m.ftrace(f, delay=2000)
    m.task(cpu=0).register(tracer).barrier().unregister(tracer)
    m.task(cpu=1).barrier().call(f, times=3)
    m.task(cpu=1).barrier().call(f, times=3)


@scenario(cpus=2)
def nested_traced_calls(m: ScenarioBuilder) -> None:
    """A traced function that calls another one hits both tracers, whichever comes or goes."""
    outer, inner = m.function("traced_nested"), m.function("traced_sum")
    first, second = m.ftrace(outer), m.ftrace(inner)
    m.task(cpu=0).register(first).register(second).unregister(first).unregister(second)
    m.task(cpu=1).call(outer, times=3, a=5, b=2)


@scenario(cpus=2)
def trace_several_functions(m: ScenarioBuilder) -> None:
    """A tracer of several functions, and one that is always called by the list, are both hit."""
    f, g = m.function("traced_sum"), m.function("traced_mix")
    several, listed = m.ftrace(f, g), m.ftrace(g, trampoline=False)
    m.task(cpu=0).register(several).register(listed).unregister(several).unregister(listed)
    m.task(cpu=1).call(f).call(g, times=2).call(f)


@scenario(cpus=2)
def trace_in_interrupt(m: ScenarioBuilder) -> None:
    """A traced function that an interrupt calls hits its tracer, also within a callback."""
    f = m.function("traced_sum")
    tracer = m.ftrace(f, delay=500)
    m.task(cpu=0).register(tracer).unregister(tracer)
    m.task(cpu=1).call(f, times=2)
    m.irq(cpu=1).call(f)


@scenario(cpus=2)
def trace_vs_unload(m: ScenarioBuilder) -> None:
    """A tracer of a module that is unloaded, and comes back, can be unregistered at any time."""
    f, g = m.function("loadable_traced"), m.function("traced_sum")
    tracer = m.ftrace(f, g)
    m.task(cpu=0).register(tracer).unregister(tracer)
    m.task(cpu=1).unload("loadable").load("loadable").call(g)


@scenario(cpus=2)
def idle_traced(m: ScenarioBuilder) -> None:
    """A trampoline stays as long as an idle CPU is in it, also where RCU does not watch."""
    f = m.function("traced_mix")
    tracer = m.ftrace(f)
    m.before("tracing_idle.c", "idle_calls")
    m.task(cpu=0).stop_machine().register(tracer).stop_machine().unregister(tracer)
    m.after("tracing_idle.c", "idle_rests")
