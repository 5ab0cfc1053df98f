"""The files made of a finding: text, HTML, trace events, JUnit and SARIF."""

import json
import re
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest

from testbed.findings import Event, Finding, TextBytes, Verdict
from testbed.report.ci import junit, sarif
from testbed.report.html import finding_html, summary_html
from testbed.report.lanes import Scale, time_text
from testbed.report.model import from_machine
from testbed.report.text import bytes_text, finding_text, newest_events, summary_text
from testbed.report.trace import interrupts, trace_events
from tests.unit.report_samples import crash, deadlock, facts, held_run, reading, use_after_free

VOID = {"meta", "br", "line", "circle", "path"}


def one(made: Any) -> Finding:
    return next(iter(from_machine(made, facts(), reading())))


class Page(HTMLParser):
    """Checks that what is opened is closed, and collects what a page would load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.words: list[str] = []
        self.feed(page)
        assert self.open == [], "elements left open"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [value or "" for name, value in attrs if name in ("src", "srcset", "data")]
        assert tag not in ("script", "link", "iframe", "img")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_the_text_begins_like_every_violation() -> None:
    lines = finding_text(one(use_after_free()), "testbed-runs/x/findings/1.json").splitlines()

    assert lines[:3] == [
        "violated: kprobe_storm: CPU 1 used 64 bytes at arena+0xa3f040 after CPU 0 had freed them",
        "  freed by  CPU 0  stress/kprobe_storm.c:88  storm_unregister()  task arm/0",
        "  used by   CPU 1  stress/kprobe_storm.c:41  counting_pre_handler()  task storm/1",
    ]
    assert "  seed 8675309, cpus=4 callers=8 armers=2" in lines
    assert "  again: testbed replay testbed-runs/x/findings/1.json" in lines
    assert any(line.endswith("interrupts CPU 2: call") for line in lines)


def test_without_a_report_file_the_command_of_the_run_is_given() -> None:
    text = finding_text(one(use_after_free()))

    assert "  again: testbed stress kprobe_storm --cpus 4 --seed 8675309\n" in text


def test_bytes_that_differ_are_marked_and_so_is_the_instruction_pointer() -> None:
    text = TextBytes(
        0x1000, 0x1002, bytes(range(20)).hex(), bytes([0, 1, 0xCC, *range(3, 20)]).hex(), "f+0x2"
    )

    assert bytes_text(text, "") == [
        "text around f+0x2; the instruction pointer at [ ]",
        "0x1000  expected  00 01[02]03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f",
        "        found     00 01[cc]03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f",
        "                        ^^",
        "0x1010  expected  10 11 12 13",
        "        found     10 11 12 13",
    ]


def test_a_hang_says_who_waits_for_whom_and_where_each_cpu_stood() -> None:
    text = finding_text(one(deadlock()))

    assert "arm/0 on CPU 2: mutex text_mutex -> arm/1 on CPU 3  (2500 ms)" in text
    assert "storm/1 on CPU 1: cross-call arena+0xa3f040 -> CPU 0, CPU 3  (2500 ms)" in text
    assert "CPU 3   lost: its process ended or was stopped" in text
    assert "who waits for whom" not in finding_text(one(crash()))


def test_a_lost_cpu_is_no_verdict_on_the_code() -> None:
    made = use_after_free()
    made["finding"][0]["kind"] = 22
    made["finding"][0]["value"][:3] = (1, 4711, 9)

    first = finding_text(one(made)).splitlines()[0]

    assert first == (
        "unknown: kprobe_storm: the worker of CPU 1 (pid 4711) was killed by SIGKILL"
    )


def test_the_newest_events_of_each_cpu_are_shown() -> None:
    timeline = [Event(cpu, ns, "user", "t", 0, 0, "x") for ns in range(30) for cpu in (0, 1)]
    timeline = [event for event in timeline if event.cpu == 0 or event.ns < 3]

    newest = newest_events(timeline, per_cpu=5)

    assert [event.ns for event in newest if event.cpu == 0] == [25, 26, 27, 28, 29]
    assert [event.ns for event in newest if event.cpu == 1] == [0, 1, 2]


def test_a_held_run_prints_the_counters_that_prove_that_it_tested_something() -> None:
    text = summary_text(held_run())

    assert re.search(r"probed calls +1,234,567", text)
    assert text.endswith(
        "held: kprobe_storm: A handler never runs after unregister_kprobe() has returned\n"
    )


@pytest.mark.parametrize("sample", [use_after_free, crash, deadlock])
def test_a_page_is_well_formed_and_loads_nothing(sample: Any) -> None:
    finding = one(sample())
    html = finding_html(finding, "findings/1.json")
    page = Page(html)

    assert page.loads == []
    assert "http" not in html.replace("http://www.w3.org/2000/svg", "")
    assert finding.title in page.text()
    assert "testbed replay findings/1.json" in page.text()
    assert html.count("<title>") == 1 + len(finding.timeline) + html.count("<circle")
    assert "prefers-color-scheme: dark" in html


def test_a_page_shows_both_sides_with_their_source_escaped() -> None:
    html = finding_html(one(use_after_free()))

    assert "line_88(&lt;&amp;&gt;);" in html
    assert "line_41(<&>);" not in html
    assert re.search(r'class=marked><i>88</i>', html)
    assert "freed by" in html
    assert "used by" in html


def test_names_from_outside_cannot_put_elements_into_a_page() -> None:
    finding = msgspec.structs.replace(
        one(use_after_free()), claim="<script>alert(1)</script>", harness='"><b>',
        options={"<i>": "&"},
    )
    event = msgspec.structs.replace(finding.timeline[0], text="</title><script>")
    finding = msgspec.structs.replace(finding, timeline=(event,))

    assert "<script>alert(1)</script>" in Page(finding_html(finding)).text()


def test_a_page_of_a_crash_marks_the_bytes() -> None:
    html = finding_html(one(crash()))

    assert '<td class="differs ip">cc</td>' in html
    assert '<td class="differs">0f</td>' in html
    assert "deadbeef00000001" in html


def test_the_page_of_a_run_shows_counters_and_links_its_findings() -> None:
    held = Page(summary_html(held_run()))
    finding = one(use_after_free())
    violated = summary_html(held_run((finding,)))

    assert "1,234,567" in held.text()
    assert "20,491" in held.text(), "calls a second"
    assert f'href="findings/{finding.signature}.html"' in violated


def test_a_scale_keeps_order_and_shortens_long_gaps() -> None:
    scale = Scale.of([0, 10, 20, 1_000_000], 300)
    places = [scale.at(time) for time in (0, 10, 20, 1_000_000)]

    assert places == sorted(places)
    assert places[-1] - places[0] == pytest.approx(300)
    assert places[1] - places[0] > 10
    assert Scale.of([5], 300).at(5) == scale.at(0)
    assert scale.end() == places[-1]


@pytest.mark.parametrize(("ns", "text"), [
    (0, "0"), (-7, "-7 ns"), (-2500, "-2.5 us"), (3_000_000, "+3 ms"), (-4 * 10**9, "-4 s"),
])
def test_times_have_a_unit_that_fits(ns: int, text: str) -> None:
    assert time_text(ns) == text


def test_trace_events_have_a_track_per_cpu_and_arrows_for_interrupts() -> None:
    finding = one(use_after_free())
    rows = json.loads(trace_events(finding))["traceEvents"]
    names = {row["args"]["name"] for row in rows if row["name"] == "thread_name"}
    phases = [row["ph"] for row in rows]

    assert names == {"CPU 0", "CPU 1", "CPU 2", "CPU 3"}
    assert phases.count("i") == len(finding.timeline)
    assert phases.count("s") == phases.count("f") == len(interrupts(finding.timeline)) > 0
    assert all(row["ts"] >= 0 for row in rows if "ts" in row)


def test_an_interrupt_is_matched_with_what_its_target_took_next() -> None:
    timeline = (
        Event(0, 0, "ipi-send", "t", 1, 1, ""), Event(2, 1, "irq", "t", 1, 0, ""),
        Event(1, 2, "irq", "t", 1, 0, ""), Event(0, 3, "ipi-send", "t", 2, 1, ""),
    )

    assert interrupts(timeline) == [(timeline[0], timeline[2])]


def test_junit_has_a_failure_per_finding_and_passes_when_held() -> None:
    finding = one(use_after_free())
    violated = ElementTree.fromstring(junit(held_run((finding,))))
    held = ElementTree.fromstring(junit(held_run()))
    unknown = ElementTree.fromstring(junit(
        msgspec.structs.replace(held_run(), verdict=Verdict.UNKNOWN, reason="CPU 1 was lost")
    ))

    assert violated.attrib["failures"] == "1"
    failure = violated.find("testcase/failure")
    assert failure is not None
    assert failure.attrib["type"] == "use-after-free"
    assert (held.attrib["tests"], held.attrib["failures"]) == ("1", "0")
    assert held.find("testcase/failure") is None
    error = unknown.find("testcase/error")
    assert error is not None
    assert "CPU 1 was lost" in error.attrib["message"]


def test_sarif_places_results_in_the_source() -> None:
    finding = one(use_after_free())
    run = json.loads(sarif(held_run((finding, one(crash())))))["runs"][0]
    first = run["results"][0]
    location = first["locations"][0]["physicalLocation"]

    assert location["artifactLocation"]["uri"] == "stress/kprobe_storm.c"
    assert location["region"]["startLine"] == 41
    assert first["partialFingerprints"]["signature/v1"] == finding.signature
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} == {"use-after-free", "crash"}
    assert run["results"][1]["locations"] == [], "the text has no source"
