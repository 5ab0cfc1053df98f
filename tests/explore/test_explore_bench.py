"""``testbed bench explore`` measures what it says, on programs that do what they should."""

import pytest

from testbed.bench import run
from testbed.explore import bench


def test_the_explorer_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    # How fast it is depends on who else computes here; what is counted does not.
    monkeypatch.setattr(bench, "RUNS", dict.fromkeys(bench.RUNS, 20_000))

    monkeypatch.setattr(bench, "PROBED", dict.fromkeys(bench.PROBED, 1000))

    figures = run(["explore"])["explore"]

    assert figures["start"]["to_first_run_ms"] < 5000
    for name in ("buffers", "two_readers"):
        assert figures[name]["random_executions_per_s"] > 10_000
        assert "random_executions_per_s_met" in figures[name]
    for name in bench.PROBED:
        assert figures[name]["portfolio_executions_per_s"] > 100
    for strategy in ("sleep", "dpor"):
        assert figures["additions_3x3"][f"{strategy}_classes"] == 1_824_912
        assert figures["additions_3x3"][f"{strategy}_s"] < 60
