"""Measurements give figures with units, aims beside them, and say which of those are missed."""

import sys
from pathlib import Path

import pytest

from testbed.bench import BenchError, missed, run, with_aim
from testbed.uprobe import Uprobe, UprobeUnable


def test_only_what_is_named_is_measured() -> None:
    results = run(["kmalloc"])

    assert set(results) == {"system", "kmalloc", "aims_missed"}
    assert 0 < results["kmalloc"]["64_bytes_pair_ns"] < 1e6
    assert results["aims_missed"] == []


def test_a_hit_is_measured_beside_a_bare_trap() -> None:
    figures = run(["hit"])["hit"]

    assert figures["plain_call_ns"] < figures["bare_sigtrap_ns"]
    ratio = figures["boosted_hit_ns"] / figures["bare_sigtrap_ns"]
    assert figures["boosted_hit_per_bare_sigtrap"] == ratio
    assert figures["boosted_hit_per_bare_sigtrap_met"] == (ratio <= 1.3)


def test_a_call_through_the_list_costs_more_with_each_tracer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TESTBED_RUNS", str(tmp_path))
    monkeypatch.setattr("testbed.bench_trampolines.ROUNDS", 1)
    monkeypatch.setattr("testbed.bench_trampolines.COUNTS", (1, 100))
    figures = run(["trampolines"])["trampolines"]

    least, most = figures["1_tracers"], figures["100_tracers"]
    assert most["list_ns"] > 3 * least["list_ns"]
    assert most["list_ns"] > 3 * most["trampoline_ns"]
    assert "<svg" in Path(figures["report"]).read_text()


def test_an_unknown_measurement_is_refused() -> None:
    with pytest.raises(BenchError, match="speed: no such measurement; there are boot, hit, pairs"):
        run(["speed"])


def test_missed_aims_are_named() -> None:
    figures = {
        "fast": with_aim({"took_ms": 5.0}, "took_ms", at_most=20.0),
        "slow": with_aim({"took_ms": 25.0, "per_s": 10.0}, "took_ms", at_most=20.0),
    }
    with_aim(figures["slow"], "per_s", at_least=10.0)

    assert missed(figures) == ["slow.took_ms"]
    assert figures["slow"]["took_ms_aim_at_most"] == 20.0


def test_a_uprobe_outside_of_its_file_is_refused() -> None:
    # Where the kernel has no uprobes, that is said instead.
    with pytest.raises(UprobeUnable, match=r"is not in it|this kernel has no uprobes"):
        Uprobe(Path(sys.executable), 1 << 60 | 1)
