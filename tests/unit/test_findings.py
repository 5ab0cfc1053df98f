"""Findings: names, signatures, strict JSON, and agreement with the C headers and the schema."""

import json
import re
from pathlib import Path

import jsonschema
import msgspec
import pytest

from testbed.findings import (
    OUTSIDE,
    Finding,
    FindingError,
    Kind,
    Place,
    Side,
    Summary,
    Verdict,
    decode,
    encode,
    merge,
    place_of,
    schema,
    signature,
    title,
)
from testbed.kinds import WORDS, kind_of
from testbed.paths import project_root
from testbed.report.model import from_machine, make_finding
from tests.unit.report_samples import crash, deadlock, facts, held_run, reading, use_after_free

REPORTING = Place("report_finding_at", "workers/kernel/finding.c", 70)
FREEING = Place("kfree", "workers/kernel/slab.c", 210)
HANDLER = Place("counting_pre_handler", "stress/kprobe_storm.c", 41)
UNREGISTER = Place("storm_unregister", "stress/kprobe_storm.c", 88)


def header_enum(file: str, name: str) -> list[str]:
    text = (project_root() / "shm_layout" / file).read_text()
    found = re.search(rf"enum {name} \{{(.*?)\}};", text, re.DOTALL)
    assert found is not None
    body = re.sub(r"/\*.*?\*/", "", found[1], flags=re.DOTALL)
    return re.findall(r"\b[A-Z][A-Z0-9_]+\b", body)


def samples() -> list[Finding]:
    return [
        finding
        for made in (use_after_free(), crash(), deadlock())
        for finding in from_machine(made, facts(), reading())
    ]


def test_kinds_are_those_of_the_header_in_its_order() -> None:
    names = header_enum("finding.h", "finding_kind")

    assert names[0] == "FINDING_NONE"
    assert names[-1] == "FINDING_KINDS"
    assert [f"FINDING_{kind.name}" for kind in Kind] == names[1:-1]
    assert kind_of(1) is Kind.CLAIM


@pytest.mark.parametrize("number", [0, len(Kind) + 1])
def test_a_number_that_is_no_kind_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match=f"finding kind {number}"):
        kind_of(number)


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_has_a_title_with_both_places(kind: Kind) -> None:
    here, other = Side(1, stack=(HANDLER,)), Side(0, stack=(UNREGISTER,))

    with_both = title(kind, here, other, {})
    alone = title(kind, here, None, {})

    assert with_both.startswith(f"{kind}: ")
    assert "{" not in with_both + alone
    assert len(WORDS[kind].values) <= 6


def test_a_title_names_the_bug_class_and_both_places() -> None:
    here, other = Side(1, stack=(REPORTING, HANDLER)), Side(0, stack=(FREEING, UNREGISTER))

    assert title(Kind.USE_AFTER_FREE, here, other, {}) == (
        "use-after-free: counting_pre_handler() after free by storm_unregister()"
    )


def test_the_place_of_a_side_is_the_innermost_that_is_not_plumbing() -> None:
    inline = Place("list_del", "workers/include/list.h", 99)

    assert place_of(Side(0, stack=(REPORTING, FREEING, inline, UNREGISTER))) == UNREGISTER
    assert place_of(Side(0, stack=(REPORTING, FREEING))) == REPORTING
    assert place_of(Side(0)) is None
    assert place_of(None) is None


def test_a_signature_survives_moved_lines_but_not_another_place() -> None:
    before = signature(Kind.LEAK, Side(0, stack=(HANDLER,)), None)
    moved = msgspec.structs.replace(HANDLER, line=412, address=7)
    after = signature(Kind.LEAK, Side(3, stack=(REPORTING, moved)), None)

    assert after == before
    assert signature(Kind.LEAK, Side(0, stack=(UNREGISTER,)), None) != before
    assert signature(Kind.DOUBLE_FREE, Side(0, stack=(HANDLER,)), None) != before
    assert re.fullmatch(r"[0-9a-f]{12}", before[0])


def test_which_function_of_the_text_was_hit_does_not_change_the_signature() -> None:
    first = Side(0, stack=(Place("deflate+0x1c", "libz.so.1"),))
    second = Side(1, stack=(Place("inflate+0x2", "libz.so.1"),))

    assert signature(Kind.CRASH, first, None) == signature(Kind.CRASH, second, None)


def test_an_address_without_a_name_does_not_make_a_signature() -> None:
    first = Side(0, stack=(Place("0x7f1234", OUTSIDE),))
    second = Side(1, stack=(Place("0x7f9876", OUTSIDE),))

    assert signature(Kind.CRASH, first, None) == signature(Kind.CRASH, second, None)
    assert place_of(Side(0, stack=(*first.stack, HANDLER))) == HANDLER


def test_findings_of_one_signature_are_counted_in_the_first() -> None:
    one, other, _ = samples()

    merged = merge([one, other, msgspec.structs.replace(one, sentence="again")])

    assert [(finding.signature, finding.count) for finding in merged] == [
        (one.signature, 2), (other.signature, 1)
    ]
    assert merged[0].sentence == one.sentence


def test_reports_come_back_from_json_unchanged() -> None:
    finding = make_finding(facts(), Kind.WRONG_RESULT, "one byte differs", {"expected": 2**64 - 1})

    documents: list[Finding | Summary] = [*samples(), finding, held_run(tuple(samples()))]
    for document in documents:
        assert decode(encode(document)) == document


@pytest.mark.parametrize(("old", "new", "reason"), [
    (b'"seed": 8675309', b'"seed": "8675309"', "Expected `int`, got `str`"),
    (b'"seed": 8675309', b'"seed": 8675309, "sead": 1', "unknown field `sead`"),
    (b'"kind": "use-after-free"', b'"kind": "use-after-fee"', "enum value"),
    (b'"format": 1', b'"format": 2', "Invalid enum value 2"),
    (b'"document": "finding"', b'"document": "fining"', "Invalid value"),
])
def test_what_is_not_a_report_is_refused_with_a_reason(
    old: bytes, new: bytes, reason: str
) -> None:
    data = encode(samples()[0])
    assert old in data

    with pytest.raises(FindingError, match=f"x.json: not a report of this testbed: .*{reason}"):
        decode(data.replace(old, new), "x.json")


def test_half_a_report_is_refused() -> None:
    with pytest.raises(FindingError, match="truncated"):
        decode(encode(samples()[0])[:-100])


def test_findings_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        samples()[0].count = 2  # type: ignore[misc]


def test_the_schema_file_is_what_the_code_says() -> None:
    path: Path = project_root() / "reports" / "schema.json"

    assert json.loads(path.read_text()) == schema(), (
        "reports/schema.json is old: testbed report schema > reports/schema.json"
    )


def test_reports_fit_the_schema_and_others_do_not() -> None:
    validator = jsonschema.Draft202012Validator(schema())
    documents: list[Finding | Summary] = [*samples(), held_run(tuple(samples()))]

    for document in documents:
        validator.validate(json.loads(encode(document)))
    broken = json.loads(encode(documents[0])) | {"surprise": 1}
    assert not validator.is_valid(broken)
    assert held_run().verdict is Verdict.HELD
