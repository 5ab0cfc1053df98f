"""The races that every probe and every patch has to stand, one at a time."""

from testbed.scenario import ScenarioBuilder, scenario


@scenario(cpus=2)
def unregister_vs_hit(m: ScenarioBuilder) -> None:
    """A handler never runs after unregister_kprobe() has returned."""
    f = m.function("push_rbp")
    p = m.kprobe(f)
    m.task(cpu=0).register(p).unregister(p)
    m.task(cpu=1).call(f, times=2)


@scenario(cpus=3)
def unregister_vs_hits(m: ScenarioBuilder) -> None:
    """When unregister_kprobe() has returned no handler runs, whichever CPU hits."""
    f = m.function("push_rbp")
    p = m.kprobe(f)
    m.task(cpu=0).register(p).unregister(p)
    m.task(cpu=1).call(f)
    m.task(cpu=2).call(f)


@scenario(cpus=2)
def delayed_handler_vs_unregister(m: ScenarioBuilder) -> None:
    """unregister_kprobe() waits for a handler that has been entered already, however slow."""
    f = m.function("nop5")
    # The breakpoint stays for the other probe, so nothing but a grace period waits.
    p, other = m.kprobe(f, handler="delay", delay=5000), m.kprobe(f)
    m.task(cpu=0).register_batch(p, other).barrier().unregister(p)
    m.task(cpu=1).barrier().call(f, times=8)


@scenario(cpus=2)
def aggregate_vs_hit(m: ScenarioBuilder) -> None:
    """Probes that join and leave an address are hit exactly while they are registered."""
    f = m.function("push_rbp")
    first, second, third = m.kprobe(f), m.kprobe(f, handler="post_count"), m.kprobe(f)
    m.task(cpu=0).register(first).register(second).unregister(first).unregister(second)
    m.task(cpu=0).register(third).unregister(third)
    m.task(cpu=1).call(f, times=8)


@scenario(cpus=2)
def enable_vs_hit(m: ScenarioBuilder) -> None:
    """A probe is hit exactly while it is enabled, also when its neighbour at the address is not."""
    f = m.function("endbr64")
    p, other = m.kprobe(f, 4, enabled=False), m.kprobe(f, 4)
    (m.task(cpu=0).register(p).register(other).enable(p).disable(other).disable(p)
        .enable(other).unregister_batch(p, other))
    m.task(cpu=1).call(f, times=12)


@scenario(cpus=3)
def two_unregister(m: ScenarioBuilder) -> None:
    """Two tasks unregister the two probes of one address at once, and both are freed once."""
    f = m.function("counted_loop")
    p, q = m.kprobe(f), m.kprobe(f, handler="post_count")
    m.task(cpu=0).register(p).barrier().unregister(p)
    m.task(cpu=1).register(q).barrier().unregister(q)
    m.task(cpu=2).barrier().call(f, times=6, a=3)


@scenario(cpus=2)
def enable_vs_unregister(m: ScenarioBuilder) -> None:
    """A probe that is enabled while it is unregistered stays unregistered."""
    f = m.function("five_bytes")
    p = m.kprobe(f, enabled=False)
    m.task(cpu=0).register(p).barrier().unregister(p).call(f, times=2)
    m.task(cpu=1).barrier().enable(p).call(f, times=2).disable(p)


@scenario(cpus=2)
def patch_vs_call(m: ScenarioBuilder) -> None:
    """A call through an instruction that is being replaced does what the old or new one does."""
    f = m.function("site_call")
    m.task(cpu=0).patch(f, "call helper_sum").patch(f, "call helper_mix").patch(f, 0)
    m.task(cpu=1).call(f, times=20, a=7, b=9)


@scenario(cpus=2)
def patch_vs_probe(m: ScenarioBuilder) -> None:
    """Instructions are replaced and probed in one function at once, and neither disturbs it."""
    f = m.function("site_jump_backward")
    p, q = m.kprobe(f), m.kprobe(f, 13)
    # Between the two meetings the probes are there, so that calls surely meet them.
    armer = m.task(cpu=0).patch(f).register_batch(p, q)
    armer.barrier().patch(f, 0).barrier().unregister_batch(p, q)
    caller = m.task(cpu=1).call(f, times=6, a=5, b=1)
    caller.barrier().call(f, times=12, a=5, b=1).barrier().call(f)


@scenario(cpus=2)
def irq_hit(m: ScenarioBuilder) -> None:
    """A probe is hit in an interrupt exactly as in a task, also while it comes and goes."""
    f = m.function("rip_relative")
    p = m.kprobe(f, 10)
    m.task(cpu=0).register(p).call_in_irq(1, f, times=2, a=1).unregister(p).call_in_irq(1, f)
    m.task(cpu=1).call(f, times=4, a=2).call_in_irq(0, f, b=3).call(f, times=4)


@scenario(cpus=2)
def nested_hit_is_missed(m: ScenarioBuilder) -> None:
    """A hit inside of a handler runs no handler, and is counted as missed."""
    outer, inner = m.function("call_direct"), m.function("nop5")
    p, q = m.kprobe(outer, handler="reenter", enters=inner), m.kprobe(inner, 5)
    m.task(cpu=0).register_batch(p, q).unregister(q).register(q).unregister_batch(q, p)
    m.task(cpu=1).call(outer, times=4, a=3).call(inner, times=4).call(outer, times=4)


@scenario(cpus=2)
def disarm_all_vs_register(m: ScenarioBuilder) -> None:
    """While all probes are disarmed none is hit, whatever is registered meanwhile."""
    f = m.function("short_instructions")
    p, q = m.kprobe(f), m.kprobe(f, 3)
    m.task(cpu=0).register(p).disarm_all().arm_all().unregister(p)
    m.task(cpu=1).call(f, times=2).register(q).call(f, times=2).unregister(q).audit()


@scenario(cpus=2)
def skip_vs_call(m: ScenarioBuilder) -> None:
    """A handler that returns from the probed function replaces its result, or changes nothing."""
    f = m.function("flags_chain")
    p = m.kprobe(f, handler="skip", returns=0x5C1FFED)
    m.task(cpu=0).register(p).disable(p).enable(p).unregister(p)
    m.task(cpu=1).call(f, times=10, a=11, b=13)


@scenario(cpus=3)
def readers_hold_grace_periods(m: ScenarioBuilder) -> None:
    """A probe goes although CPUs run with preemption or interrupts off, and others stop all."""
    f = m.function("conditions")
    p = m.kprobe(f, 12)
    m.task(cpu=0).register(p).synchronize_rcu().unregister(p)
    m.task(cpu=1).preempt_disable().call(f, times=4).preempt_enable().stop_machine()
    m.task(cpu=2).irq_disable().call(f, times=4, a=1).irq_enable().yield_().call(f, times=2)


@scenario(cpus=2)
def device_hit(m: ScenarioBuilder) -> None:
    """A probe that a device's interrupt hits comes and goes, whatever the interrupt comes into."""
    f = m.function("push_rbp")
    p = m.kprobe(f)
    m.task(cpu=0).register(p).unregister(p)
    m.task(cpu=1).call(f)
    m.irq(cpu=1, times=2).irq_enable().call(f, a=1).irq_disable()


@scenario(cpus=2)
def nmi_hit(m: ScenarioBuilder) -> None:
    """An NMI hits probes wherever it comes, and in a handler, or in the step after it, misses."""
    outer, inner = m.function("call_direct"), m.function("nop5")
    p, q = m.kprobe(outer, handler="reenter", enters=inner), m.kprobe(inner, 5)
    r = m.kprobe(inner, handler="post_count")
    m.task(cpu=0).register_batch(p, q, r).unregister(q).register(q).unregister_batch(q, p, r)
    m.task(cpu=1).call(outer, times=2, a=3).call(inner, times=2).call(outer, times=2)
    m.nmi(cpu=1, times=4).call(inner).call(outer, a=5)


@scenario(cpus=2)
def nmi_into_idle(m: ScenarioBuilder) -> None:
    """An NMI that comes into an idle CPU holds up a grace period as any other reader does."""
    f = m.function("nop5")
    # The breakpoint stays for the other probe, so nothing but a grace period waits.
    p, other = m.kprobe(f, handler="delay", delay=20000), m.kprobe(f)
    m.task(cpu=0).register_batch(p, other).unregister(p).unregister(other)
    m.nmi(cpu=1, times=2).call(f)
