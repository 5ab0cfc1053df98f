"""What continuous integration reads: JUnit XML, and SARIF 2.1.0 (OASIS, 2020)."""

import json
from typing import Any
from xml.etree import ElementTree

from testbed.findings import Finding, Side, Summary, Verdict, place_of
from testbed.report.text import finding_text, verdict_line

SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def junit(summary: Summary) -> bytes:
    """Return one test case per finding, or one that passed, or one that is an error."""
    cases = max(1, len(summary.findings))
    unknown = summary.verdict is Verdict.UNKNOWN
    suite = ElementTree.Element("testsuite", {
        "name": "testbed", "tests": str(cases), "failures": str(len(summary.findings)),
        "errors": "1" if unknown and not summary.findings else "0",
        "timestamp": summary.started, "time": f"{summary.duration_s:.3f}",
    })
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in [("seed", summary.seed), *summary.options.items(),
                        *summary.counters.items()]:
        ElementTree.SubElement(properties, "property", {"name": name, "value": str(value)})
    for finding in summary.findings:
        case = _case(suite, summary, finding.title)
        failure = ElementTree.SubElement(
            case, "failure", {"message": finding.sentence, "type": str(finding.kind)}
        )
        failure.text = _xml_text(finding_text(finding))
    if not summary.findings:
        case = _case(suite, summary, summary.claim)
        if unknown:
            ElementTree.SubElement(case, "error", {"message": verdict_line(summary)})
    ElementTree.indent(suite, " ")
    document: bytes = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _case(suite: ElementTree.Element, summary: Summary, name: str) -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", {
        "classname": f"testbed.{summary.harness}", "name": name,
        "time": f"{summary.duration_s:.3f}",
    })


def _xml_text(text: str) -> str:
    """Leave out what XML 1.0 cannot hold."""
    return "".join(character for character in text if character >= " " or character in "\n\t")


def sarif(summary: Summary) -> bytes:
    """Return the findings as SARIF results, each at its innermost place."""
    kinds = sorted({str(finding.kind) for finding in summary.findings})
    run: dict[str, Any] = {
        "tool": {"driver": {
            "name": "testbed", "version": summary.version,
            "rules": [{"id": kind, "name": kind} for kind in kinds],
        }},
        "invocations": [{
            "executionSuccessful": summary.verdict is not Verdict.UNKNOWN,
            "commandLine": " ".join(summary.command),
        }],
        "results": [_result(finding) for finding in summary.findings],
    }
    document = {"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(document, indent=1).encode() + b"\n"


def _result(finding: Finding) -> dict[str, Any]:
    return {
        "ruleId": str(finding.kind),
        "level": "error",
        "message": {"text": f"{finding.title}. {finding.sentence}"},
        "locations": _locations(finding.here),
        "relatedLocations": _locations(finding.other),
        "partialFingerprints": {"signature/v1": finding.signature},
    }


def _locations(side: Side | None) -> list[dict[str, Any]]:
    place = place_of(side)
    if place is None or not place.line:
        return []
    return [{
        "physicalLocation": {
            "artifactLocation": {"uri": place.file, "uriBaseId": "%SRCROOT%"},
            "region": {"startLine": place.line},
        },
        "logicalLocations": [{"name": place.function, "kind": "function"}],
    }]
