"""What a test gets of a run: how it ended, and methods that demand how it should have."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from testbed.explore.schedule import Schedule
from testbed.findings import Finding, Kind, Story, Summary, Verdict
from testbed.report.text import again, finding_text, passing_text, summary_text, verdict_line


class Expectation(AssertionError):
    """A run did not end as a test demands."""


@dataclass
class Judged:
    """How a run ended.

    Attributes:
        summary: all of it.
        report: where its finding is kept, "" = nowhere.
        here: argv of pytest that does the run again; () = none.
        as_expected: a test has demanded that it ends so.
    """

    summary: Summary
    report: str = ""
    here: tuple[str, ...] = ()
    as_expected: bool = field(default=False, init=False)

    @property
    def verdict(self) -> Verdict:
        """Held, violated or unknown."""
        return self.summary.verdict

    @property
    def findings(self) -> list[Finding]:
        """What was found."""
        return list(self.summary.findings)

    @property
    def finding(self) -> Finding:
        """The only finding."""
        (one,) = self.summary.findings
        return one

    @property
    def kinds(self) -> list[Kind]:
        """Of the findings."""
        return [finding.kind for finding in self.summary.findings]

    @property
    def counters(self) -> Mapping[str, int | float]:
        """What proves that something was tested, by name."""
        return self.summary.counters

    def violated(self, kind: Kind | str = "") -> Finding:
        """Demand that something was found, and return the first finding.

        Args:
            kind: of that finding, such as "use-after-free"; "" = any.

        Raises:
            Expectation: nothing was, or it is of another kind.
        """
        __tracebackhide__ = True
        wanted = str(kind) or "violated"
        if self.verdict is not Verdict.VIOLATED:
            raise Expectation(f"expected {wanted}, but {self.told()}")
        first = self.summary.findings[0]
        if kind and first.kind != kind:
            raise Expectation(f"expected {wanted}, but found {first.kind}: {self.told()}")
        self.as_expected = True
        return first

    def _demand_held(self) -> None:
        __tracebackhide__ = True
        if self.verdict is not Verdict.HELD:
            raise Expectation(f"expected held, but {self.told()}")

    def told(self) -> str:
        """Return how it ended and how to do it again, as a few lines."""
        lines = [verdict_line(self.summary)]
        lines += [f"again: {again(one, self.report)}" for one in self.summary.findings[:1]]
        return "\n".join(lines)

    def noted(self) -> dict[str, str]:
        """Return what is worth noting of any run, by name."""
        noted = {"seed": str(self.summary.seed), "run": f"{self.summary.harness}: {self.verdict}"}
        for finding in self.summary.findings[:1]:
            noted["again"] = again(finding, self.report)
        return noted

    def section(self) -> tuple[str, str] | None:
        """Return a title and all that is known, None if it ended as a test demanded."""
        if self.as_expected:
            return None
        parts = [finding_text(finding, self.report) for finding in self.summary.findings]
        parts = parts or [summary_text(self.summary)]
        if self.here:
            parts.append(f"     or: {shlex.join(self.here)}\n")
        return f"testbed: {self.summary.harness}", "\n".join(parts)


@dataclass
class Explored(Judged):
    """How a search of schedules ended."""

    def held(self, complete: bool = False) -> Explored:
        """Demand that no schedule failed, and return this.

        Args:
            complete: demand that every schedule was searched, too.

        Raises:
            Expectation: one failed, or not enough was searched.
        """
        __tracebackhide__ = True
        self._demand_held()
        if complete and not self.complete:
            raise Expectation("\n".join(["expected that every schedule is searched, but",
                                         *passing_text(self.summary)]))  # fmt: skip
        self.as_expected = True
        return self

    @property
    def complete(self) -> bool:
        """Every schedule was searched."""
        return self.summary.searched is not None and self.summary.searched.complete

    @property
    def executions(self) -> int:
        """Runs that were made."""
        return int(self.counters["executions"])

    @property
    def story(self) -> Story:
        """The run that shows the finding, event by event."""
        story = self.finding.story
        assert story is not None
        return story

    @property
    def schedule(self) -> Schedule:
        """The smallest schedule that shows the finding."""
        return Schedule.parse(self.story.schedule)

    @property
    def interventions(self) -> int:
        """Of that schedule, bursts as one."""
        return len(self.story.interventions)

    @property
    def outcomes(self) -> dict[int, int]:
        """What runs gave to explore_outcome(), and how many of them."""
        return dict(self.summary.outcomes)


@dataclass
class Stressed(Judged):
    """How a run on the real machine ended."""

    def held(self) -> Stressed:
        """Demand that nothing was found, and that something was tested; return this.

        Raises:
            Expectation: something was found, or the run says nothing of its claim.
        """
        __tracebackhide__ = True
        self._demand_held()
        self.as_expected = True
        return self
