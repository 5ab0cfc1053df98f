"""CPUs of the real machine go down and come up under load."""

import json
from pathlib import Path

import pytest

from testbed.cli import run as command_line


def test_cpus_go_and_come_while_others_call_probes_and_wait_for_readers(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    status = command_line([
        "stress", "kprobe_storm", "--cpus", "3", "--duration", "2s", "--onoff-interval", "10",
        "--json", "--runs", str(tmp_path),
    ])  # fmt: skip
    summary = json.loads(capsys.readouterr().out)
    counters = summary["counters"]

    assert (status, summary["verdict"]) == (0, "held")
    assert counters["CPUs taken down"] >= 5
    assert counters["CPUs brought up"] == counters["CPUs taken down"]
    assert 0 < counters["taken down in, ms, least"] <= counters["taken down in, ms, average"]
    assert counters["register/unregister pairs"] > 0
