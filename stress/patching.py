"""Text that changes under whoever runs it, one race at a time: small enough to try everything."""

from testbed.scenario import ScenarioBuilder, scenario


@scenario(cpus=2)
def patch_vs_run(m: ScenarioBuilder) -> None:
    """Who runs an instruction while it is replaced does what the old one or the new one does."""
    f = m.function("site_jump_backward")
    m.task(cpu=0).patch(f)
    m.task(cpu=1).call(f, a=7, b=9)


@scenario(cpus=2)
def patch_vs_call_site(m: ScenarioBuilder) -> None:
    """Who runs a call while it is turned to another function calls one of the two."""
    f = m.function("site_call")
    m.task(cpu=0).patch(f, "call helper_sum").barrier().patch(f, "call helper_mix")
    m.task(cpu=1).barrier().call(f, a=7, b=9)


@scenario(cpus=2)
def patch_vs_other_trap(m: ScenarioBuilder) -> None:
    """A breakpoint of a probe is told from those of a patch, whenever that begins and ends."""
    site, probed = m.function("site_jump_forward"), m.function("nop5")
    p = m.kprobe(probed, 5)
    m.task(cpu=0).register(p).barrier().patch(site)
    m.task(cpu=1).barrier().call(probed)


@scenario(cpus=2, poke="stop_machine")
def patch_stopped(m: ScenarioBuilder) -> None:
    """What was written while all CPUs stood is what each of them runs afterwards."""
    f = m.function("site_jump_backward")
    m.task(cpu=0).patch(f)
    # To be stopped when it enables preemption: an interrupt that returns would fetch anew.
    m.task(cpu=1).preempt_disable().call(f, a=7, b=9).preempt_enable().call(f, a=7, b=9)


@scenario(cpus=2, poke="stop_machine")
def patch_vs_bring_up(m: ScenarioBuilder) -> None:
    """Text is changed while a CPU comes up, which changes text as well, and both get done."""
    f, g = m.function("site_jump_forward"), m.function("site_call")
    m.task(cpu=0).patch(f)
    m.task(cpu=1).bring_up(g)


@scenario(cpus=2)
def patch_in_place_vs_irq(m: ScenarioBuilder) -> None:
    """An interrupt meets text that its own CPU changes in place either old or new, never torn."""
    f = m.function("site_jump_backward")
    m.task(cpu=0).patch_in_place(f).call(f, a=7, b=9)
    m.task(cpu=1).call_in_irq(0, f, a=7, b=9)


@scenario(cpus=2)
def patch_several_vs_preempted(m: ScenarioBuilder) -> None:
    """Two instructions become one only when no task is left between them."""
    f = m.function("site_pair")
    m.task(cpu=0).patch(f)
    m.task(cpu=1).call(f, times=2, a=7, b=9)
    m.task(cpu=1).yield_()


@scenario(cpus=2)
def register_vs_unload(m: ScenarioBuilder) -> None:
    """No breakpoint is written into a module that is not there any more."""
    p = m.kprobe(m.function("loadable_nop5"))
    m.task(cpu=0).register(p).unregister(p)
    m.task(cpu=1).unload("loadable")


@scenario(cpus=1)
def unload_twice(m: ScenarioBuilder) -> None:
    """A probe whose module was unloaded is gone once, however often that happens."""
    f = m.function("loadable_frame")
    p = m.kprobe(f)
    (m.task(cpu=0).register(p).call(f).unload("loadable").load("loadable").call(f)
        .unload("loadable").load("loadable").unregister(p))


@scenario(cpus=1, fail_arm=1)
def enable_fails(m: ScenarioBuilder) -> None:
    """A probe that could not be armed counts as disabled, also next to another at its address."""
    f = m.function("push_rbp")
    p, q = m.kprobe(f, enabled=False), m.kprobe(f, enabled=False)
    m.task(cpu=0).register(p).register(q).enable(p).unregister_batch(p, q)
