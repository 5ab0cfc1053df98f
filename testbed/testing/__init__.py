"""Races as tests: what the pytest plugin's fixtures return, and scenarios made by Hypothesis.

::

    from hypothesis import given
    from testbed.testing import check, scenarios

    @given(scenarios(max_cpus=2))
    def test_nothing_that_probes_do_can_race(one):
        check(one)

    def test_unregister_waits_for_handlers(explore):
        explore("unregister_vs_hit").held()
"""

from testbed.scenario import scenarios
from testbed.testing.generated import Violated, check
from testbed.testing.result import Expectation, Explored, Judged, Stressed

__all__ = [
    "Expectation", "Explored", "Judged", "Stressed", "Violated", "check", "scenarios",
]  # fmt: skip
