"""Probes that come and go under whoever hits them: small enough to try everything."""

from testbed.scenario import ScenarioBuilder, scenario


@scenario(cpus=2)
def register_vs_one_hit(m: ScenarioBuilder) -> None:
    """A hit while a probe comes and goes is handled, or not made at all."""
    f = m.function("nop5")
    p = m.kprobe(f)
    m.task(cpu=0).register(p).unregister(p)
    m.task(cpu=1).call(f)


@scenario(cpus=2)
def unregister_one_of_two(m: ScenarioBuilder) -> None:
    """A probe can go while its neighbour at the address stays: nobody is in its handler then."""
    f = m.function("nop5")
    p, q = m.kprobe(f), m.kprobe(f)
    m.task(cpu=0).register_batch(p, q).barrier().unregister(p)
    m.task(cpu=1).barrier().call(f)


@scenario(cpus=2)
def register_second(m: ScenarioBuilder) -> None:
    """A second probe joins the first one at its address, and no hit of the first one is lost."""
    f = m.function("nop5")
    p, q = m.kprobe(f), m.kprobe(f)
    m.task(cpu=0).register(p).barrier().register(q)
    m.task(cpu=1).barrier().call(f)


@scenario(cpus=1)
def disable_one_of_two(m: ScenarioBuilder) -> None:
    """A probe is hit as before when its neighbour at the address is disabled."""
    f = m.function("nop5")
    p, q = m.kprobe(f), m.kprobe(f)
    m.task(cpu=0).register_batch(p, q).disable(p).call(f)


@scenario(cpus=2)
def misses_are_counted(m: ScenarioBuilder) -> None:
    """Each probe that is met inside of a handler counts a miss, on whatever CPU."""
    outer, inner = m.function("push_rbp"), m.function("nop5")
    p = m.kprobe(outer, handler="reenter", enters=inner)
    # With a post handler the copy is stepped through.
    q, r = m.kprobe(inner, 5), m.kprobe(inner, 5, handler="post_count")
    m.task(cpu=0).register_batch(p, q, r).barrier().call(outer).barrier().unregister_batch(p, q, r)
    m.task(cpu=1).barrier().call(outer).barrier()


@scenario(cpus=2)
def slot_used_again(m: ScenarioBuilder) -> None:
    """The copy of an instruction stays as it is while somebody runs it."""
    f, g = m.function("push_rbp"), m.function("nop5")
    p, q = m.kprobe(f, 1), m.kprobe(g, 5)
    m.task(cpu=0).register(p).barrier().unregister(p).register(q)
    m.task(cpu=1).barrier().call(f)


@scenario(cpus=1, fail_arm=1)
def register_fails(m: ScenarioBuilder) -> None:
    """A probe that could not be armed is not registered."""
    f = m.function("nop5")
    p = m.kprobe(f)
    m.task(cpu=0).register(p).call(f).unregister(p)
