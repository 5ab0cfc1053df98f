"""Run a harness on the real machine for a while, audit what it left, and say how it ended.

A run ends by time, by a finding, by the loss of a CPU, or by Ctrl-C; it is judged ``held`` only
when its tasks ended by themselves and every audit was made.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

from testbed import __version__
from testbed.build import Core, Request, build
from testbed.config import Poke, Preempt
from testbed.errors import MachineFrozen, MachineLost, MachineTimeout
from testbed.findings import Finding, Kind, Summary, Verdict, environment, merge
from testbed.harness import (
    Counters,
    Harness,
    HarnessError,
    Option,
    Run,
    Violation,
    harnesses,
    load,
)
from testbed.machine import Machine, MachineConfig, State
from testbed.report.addresses import Addresses, text_spans
from testbed.report.model import Reading, RunFacts, from_machine, make_finding
from testbed.runs import RunFolder
from testbed.symbols import Symbols
from testbed.text.image import Image, build_image

__all__ = [
    "Harness", "HarnessError", "Option", "Progress", "Run", "RunOptions", "Violation",
    "harnesses", "load", "run",
]  # fmt: skip

LOOK_S = 0.1

# How long tasks may take to end once they were asked to, s; longer than the watchdog waits.
END_PATIENCE_S = 60.0
AUDIT_PATIENCE_S = 120.0

# Made by the machine on itself when all tasks have ended; each reports findings of its own.
AUDITS = ("ftrace_audit", "kprobes_audit", "text_audit", "slab_audit", "slab_leak_check")


@dataclass(frozen=True)
class RunOptions:
    """What every run has; `extra` are the harness's own options by name."""

    cpus: int
    seed: int
    duration_s: float
    poke: str = "int3"
    preempt: str = "full"
    hang_ms: int = 10_000
    tick_us: int = 1000
    cores: int = 0
    pin: bool = False
    patches: tuple[Path, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)
    stop_on_first: bool = True

    @classmethod
    def of(cls, harness: Harness, values: Mapping[str, Any]) -> RunOptions:
        """Return the options of a run from those of a command line, by name.

        Raises:
            HarnessError: a value is none of its option's choices.
        """
        for option in harness.options:
            option.check(values[option.name])
        return cls(
            cpus=values["cpus"],
            seed=values["seed"],
            duration_s=values["duration"],
            poke=values["poke"],
            preempt=values["preempt"],
            hang_ms=values["hang_ms"],
            tick_us=values["tick_us"],
            cores=values["cores"] or len(os.sched_getaffinity(0)),
            pin=values["pin"],
            patches=tuple(values["patches"]),
            extra={option.name: values[option.name] for option in harness.options},
            stop_on_first=not values["keep_going"],
        )


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    elapsed_s: float
    duration_s: float
    counters: Counters
    findings: int


class Interrupts:
    """Ctrl-C and SIGTERM while a run is on: the first asks it to finish, the second stops it."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        """Count one; the second one raises."""
        self.count += 1
        if self.count > 1:
            raise KeyboardInterrupt

    @contextmanager
    def caught(self) -> Iterator[Interrupts]:
        """Handle both signals by this object, if this is the main thread."""
        previous = {}
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                previous[number] = signal.signal(number, self)
        except ValueError:
            pass
        try:
            yield self
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


@dataclass
class _Outcome:
    verdict: Verdict
    counters: Counters
    findings: list[Finding]
    reason: str = ""


def run(
    harness: Harness,
    options: RunOptions,
    progress: Callable[[Progress], None] = lambda _progress: None,
    folder: RunFolder | None = None,
) -> Summary:
    """Run `harness` once, or until its time is over if it goes on after findings.

    Args:
        harness: see `load`.
        options: of the run.
        progress: called about ten times a second.
        folder: gets each finding when it is made; the caller writes the summary.

    Raises:
        TestbedError: it cannot be run here.
    """
    core = build(Request(patches=options.patches, extra=harness.sources))
    image = _image_of(core, harness, options)
    facts = _facts(harness, options, core)
    # Rates are of the run: a first build takes ten seconds.
    started = datetime.now(UTC).isoformat(timespec="seconds")
    begin = time.monotonic()
    outcome = _Outcome(Verdict.HELD, {}, [])
    with Interrupts().caught() as interrupts:
        for attempt in range(1_000_000):
            left = options.duration_s - (time.monotonic() - begin if attempt else 0)
            runner = _Runner(harness, options, core, image, facts, interrupts)
            one = runner.run(attempt, left, progress)
            _add(outcome, one)
            for finding in one.findings:
                if folder is not None:
                    folder.write_finding(finding)
            if options.stop_on_first or one.verdict is not Verdict.VIOLATED:
                break
            if interrupts.count or time.monotonic() - begin >= options.duration_s:
                break
    return Summary(
        verdict=outcome.verdict,
        harness=harness.name,
        claim=harness.claim,
        seed=options.seed,
        options=facts.options,
        command=(),
        version=__version__,
        build_id=core.build_id,
        started=started,
        duration_s=round(time.monotonic() - begin, 3),
        counters=outcome.counters,
        findings=tuple(merge(outcome.findings)),
        reason=outcome.reason,
        patches=facts.patches,
        environment=facts.environment,
    )


def _add(total: _Outcome, one: _Outcome) -> None:
    for name, value in one.counters.items():
        total.counters[name] = total.counters.get(name, 0) + value
    total.findings += one.findings
    if total.findings:
        total.verdict, total.reason = Verdict.VIOLATED, ""
    elif one.verdict is Verdict.UNKNOWN:
        total.verdict, total.reason = one.verdict, one.reason


def _image_of(core: Core, harness: Harness, options: RunOptions) -> Image:
    from testbed.layout import Layout

    imports = {
        name: symbol.address
        for name, symbol in Layout.of(core).symbols().items()
        if name.startswith("import_")
    }
    library = harness.choose_library(options.extra)
    return build_image(library=library, imports=imports, **harness.image)


def _facts(harness: Harness, options: RunOptions, core: Core) -> RunFacts:
    shown = {
        "cpus": options.cpus, "cores": options.cores or MachineConfig().cores,
        "poke": options.poke, "preempt": options.preempt, "tick_us": options.tick_us,
        "hang_ms": options.hang_ms, "duration_s": options.duration_s, **options.extra,
    }  # fmt: skip
    return RunFacts(
        harness=harness.name,
        claim=harness.claim,
        seed=options.seed,
        options={name: str(value) for name, value in shown.items()},
        command=("testbed", "stress", harness.name),
        version=__version__,
        build_id=core.build_id,
        environment=environment(core.compiler),
        patches=tuple(path.name for path in options.patches),
    )


class _Runner:
    """One machine from boot to end."""

    def __init__(
        self, harness: Harness, options: RunOptions, core: Core, image: Image, facts: RunFacts,
        interrupts: Interrupts,
    ) -> None:  # fmt: skip
        self.harness, self.options, self.core, self.image = harness, options, core, image
        self.facts, self.interrupts = facts, interrupts
        self.interrupted_after: float | None = None

    def run(
        self, attempt: int, duration_s: float, progress: Callable[[Progress], None]
    ) -> _Outcome:
        """Boot, run for `duration_s`, audit; findings that were made end it earlier."""
        seed = (self.options.seed + attempt) % 2**64
        with Machine(self.core, self.image, self._config(seed)) as machine:
            run = Run(
                machine, self.image, self.options.extra, self.options.cpus, Random(seed)
            )
            counters: Counters = {}
            reason, violations = "", []
            clock = clock_of(machine)
            try:
                machine.call("slab_leak_mark")
                self.harness.setup(run)
                self._watch(run, duration_s, progress)
                counters = self._finish(run)
            except Violation as violation:
                violations.append(self._violation(violation))
                counters = self._count(run)
            except MachineFrozen:
                counters = self._count(run)
            except (MachineLost, MachineTimeout) as error:
                reason = str(error)
                counters = self._count(run)
            return self._judge(machine, counters, reason, violations, clock)

    def _config(self, seed: int) -> MachineConfig:
        options = self.options
        named: dict[str, Any] = {
            name: options.extra[name]
            for name in ("fail_arm", "fail_alloc", "write_delay", "device_us", "reuse_delay")
            if name in options.extra
        }
        if "tick" in options.extra:
            # CPUs that share a core share its time: they would only be interrupted.
            sharing = max(options.cpus // (options.cores or MachineConfig().cores), 1)
            named["tick_us"] = options.extra["tick"] * sharing
        if options.cores:
            named["cores"] = options.cores
        poke, scenario = options.poke, self.harness.scenario
        if scenario is not None and scenario.poke != Poke.INT3:
            poke = scenario.poke
        preempt = options.preempt
        if scenario is not None and scenario.preempt != Preempt.FULL:
            preempt = scenario.preempt
        return MachineConfig(
            cpus=options.cpus, hang_ms=options.hang_ms, poke=poke, preempt=preempt, seed=seed,
            pin=options.pin,
            **{"tick_us": options.tick_us, **self.harness.config, **named},
        )  # fmt: skip

    def _watch(
        self, run: Run, duration_s: float, progress: Callable[[Progress], None]
    ) -> None:
        begin = time.monotonic()
        while True:
            elapsed = time.monotonic() - begin
            state = run.machine.wait(min(LOOK_S, max(duration_s - elapsed, 0.001)))
            if state is State.LOST:
                raise MachineLost(run.machine.lost)
            made = int(run.machine.record["nr_findings"])
            progress(Progress(elapsed, duration_s, self.harness.counters(run), made))
            if self.interrupts.count and elapsed < duration_s:
                self.interrupted_after = elapsed
                return
            if state is not State.RUNNING or elapsed >= duration_s:
                return

    def _finish(self, run: Run) -> Counters:
        """Let the tasks end by themselves, then audit everything."""
        machine = run.machine
        machine.stop()
        state = machine.wait(END_PATIENCE_S)
        if state is State.LOST:
            raise MachineLost(machine.lost)
        if state is State.FROZEN:
            return self._count(run)
        if state is not State.FINISHED:
            raise MachineTimeout(f"its tasks did not end within {END_PATIENCE_S:.0f} s")
        self.harness.check(run)
        for audit in AUDITS:
            machine.call(audit, timeout=AUDIT_PATIENCE_S)
        return self._count(run)

    def _count(self, run: Run) -> Counters:
        stats = run.machine.cpu_stats()
        return {
            **self.harness.counters(run),
            "preemptions": int(stats["nr_preempted"].sum()),
            "interrupts": int((stats["nr_irqs"] + stats["nr_polled"]).sum()),
            "traps": int(stats["nr_traps"].sum()),
        }

    def _judge(
        self, machine: Machine, counters: Counters, reason: str, violations: list[Finding],
        clock: tuple[int, int],
    ) -> _Outcome:  # fmt: skip
        findings = [*violations, *findings_of(machine, self.image, self.facts, clock)]
        real = [finding for finding in findings if finding.kind is not Kind.CPU_LOST]
        if real:
            return _Outcome(Verdict.VIOLATED, counters, real)
        if findings or reason:
            return _Outcome(Verdict.UNKNOWN, counters, [], reason or findings[0].sentence)
        if self.interrupted_after is not None:
            after = f"{self.interrupted_after:.1f} s"
            reason = f"interrupted after {after}; nothing was found until then"
            return _Outcome(Verdict.UNKNOWN, counters, [], reason)
        idle = [name for name, value in counters.items() if name in PROOF and not value]
        if idle:
            return _Outcome(Verdict.UNKNOWN, counters, [], f"nothing was tested: no {idle[0]}")
        return _Outcome(Verdict.HELD, counters, [])

    def _violation(self, violation: Violation) -> Finding:
        return make_finding(self.facts, violation.kind, violation.sentence, violation.values)


# A run in which one of these is 0 has tested nothing.
PROOF = ("calls", "probed calls", "register/unregister pairs", "operations")


def clock_of(machine: Machine) -> tuple[int, int]:
    """Return the time, ns, and a machine's time stamp, cycles: with a second pair, how they go."""
    return time.monotonic_ns(), _cycles(machine)


def findings_of(
    machine: Machine, image: Image, facts: RunFacts, clock: tuple[int, int]
) -> list[Finding]:
    """Return what a machine has found.

    Args:
        machine: not closed yet.
        image: its text.
        facts: what reports say of the run.
        clock: `clock_of` it, after it was booted.
    """
    elapsed = time.monotonic_ns() - clock[0]
    rate = (_cycles(machine) - clock[1]) / elapsed if clock[1] else 1.0
    addresses = Addresses(Symbols.of(machine.core), text_spans(image))
    reading = Reading(
        addresses, cycles_per_ns=max(rate, 0.1), now_ns=time.monotonic_ns(),
        read_source=machine.core.source,
    )  # fmt: skip
    return list(from_machine(machine.record, facts, reading))


def _cycles(machine: Machine) -> int:
    """Return the newest time stamp of any CPU, in cycles; 0 if there is none yet."""
    cpus = machine.record["cpu"][: machine.config.cpus]
    return int(cpus["ring"]["event"]["tsc"].max())
