"""Functions run one instruction at a time: every step is where the text map says that it may go."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from testbed.paths import project_root
from testbed.text.image import Image, build_image
from testbed.text.model import TEXT_BASE, InsnClass, TextFunction
from tests.unit.text_native import ZLIB_IMPORTS, libc_imports
from tests.unit.text_tracer import NOT_ALLOWED


@dataclass(frozen=True)
class Call:
    """One traced call.

    Attributes:
        function: its name.
        form: which patch was in place; empty for none.
        pair: the arguments.
        visited: addresses of the instructions that ran, in order.
        value: what was returned.
    """

    function: str
    form: str
    pair: tuple[int, int]
    visited: Sequence[int]
    value: int


def trace(mode: str) -> list[Call]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.text_tracer", mode], cwd=project_root(),
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    if done.returncode == NOT_ALLOWED:
        pytest.skip("ptrace is not allowed here")
    assert done.returncode == 0, done.stderr
    return [Call(**{**one, "pair": tuple(one["pair"])}) for one in json.loads(done.stdout)]


@pytest.fixture(scope="module")
def image() -> Image:
    return build_image(library=None, imports={})


@pytest.fixture(scope="module")
def calls() -> list[Call]:
    return trace("assembled")


def misstep(image: Image, address: int, following: int) -> str:
    """Return what is wrong with going from one instruction to another; empty if nothing is."""
    row = image.text_map[address - TEXT_BASE]
    if not row["length"]:
        return "no boundary"
    after = address + int(row["length"])
    target = after + int(row["target"])
    match InsnClass(row["class"]):
        case InsnClass.STEP | InsnClass.PUSHF | InsnClass.POPF:
            allowed = [after]
        case InsnClass.JMP_REL | InsnClass.CALL_REL:
            allowed = [target]
        case InsnClass.JCC | InsnClass.LOOP:
            allowed = [after, target]
        case _:
            return ""
    return "" if following in allowed else "goes elsewhere"


def missteps(image: Image, call: Call) -> list[tuple[int, str]]:
    end = TEXT_BASE + len(image.text)
    sites = {site.address for site in image.sites}
    found = []
    for address, following in zip(call.visited, call.visited[1:], strict=False):
        inside = TEXT_BASE <= address < end
        if inside and not (call.form and address in sites):
            wrong = misstep(image, address, following)
            if wrong:
                found.append((address, wrong))
    return found


def test_every_step_of_every_function_is_in_the_text_map(image: Image, calls: list[Call]) -> None:
    for call in calls:
        assert missteps(image, call) == [], call


def test_a_wrong_text_map_is_noticed(image: Image, calls: list[Call]) -> None:
    """The twin: one length, or one displacement, is off by one."""
    call = next(one for one in calls if one.function == "counted_loop" and one.pair == (5, 9))
    start = image.function("counted_loop").addr - TEXT_BASE
    for offset, field in ((0, "length"), (20, "target")):
        wrong = replace(image, text_map=image.text_map.copy())
        wrong.text_map[field][start + offset] += 1
        assert missteps(wrong, call) != []


def own_counts(function: TextFunction, call: Call) -> Counter[int]:
    return Counter(
        address - function.addr
        for address in call.visited
        if 0 <= address - function.addr < function.size
    )


def test_what_runs_once_runs_once_in_every_form(image: Image, calls: list[Call]) -> None:
    for call in calls:
        function = image.function(call.function)
        counts = own_counts(function, call)
        assert {counts[offset] for offset in function.once} == {1}, call


def test_what_is_not_in_once_runs_never_or_twice_at_some_time(
    image: Image, calls: list[Call]
) -> None:
    """The twin: an answer that left out what does run once would be no use."""
    for function in image.functions:
        own = [call for call in calls if call.function == function.name]
        for offset in set(image.boundaries(function)) - set(function.once) if own else ():
            seen = {own_counts(function, call)[offset] for call in own}
            assert seen != {1}, (function.name, offset)


def test_callees_are_entered_once_and_nobody_else_is(image: Image, calls: list[Call]) -> None:
    alternatives = {
        f"{site.function}: {one.name}": one for site in image.sites for one in site.alternatives
    }
    starts = {function.addr: function.name for function in image.functions}
    for call in calls:
        expected = list(image.function(call.function).callees)
        if call.form.startswith(f"{call.function}:"):
            expected += alternatives[call.form].callees
        entered = [starts[address] for address in call.visited if address in starts]
        assert sorted(entered) == sorted([call.function, *expected]), call


def test_stepping_changes_no_result(image: Image, calls: list[Call]) -> None:
    for call in calls:
        function = image.function(call.function)
        if not call.form.startswith(f"{call.function}:"):
            assert function.expected is not None
            assert call.value == function.expected(*call.pair), call


def test_every_step_of_a_real_library_is_in_the_text_map() -> None:
    image = build_image(imports=libc_imports(*ZLIB_IMPORTS))
    calls = trace("library")
    assert [call.function for call in calls] == ["crc32", "adler32"]
    for call in calls:
        assert missteps(image, call) == []
        assert len(call.visited) > 500


def test_disturbed_state_changes_the_result(image: Image) -> None:
    """So a trap or a detour that loses stack, flags or vectors is found by the result alone."""
    wrong: Counter[str] = Counter()
    for call in trace("disturbed"):
        expected = image.function(call.function).expected
        assert expected is not None
        wrong[call.function] += call.value != expected(*call.pair)
    steps = {name: len(image.boundaries(image.function(name))) for name in wrong}
    # Not at the ends, where the state is not in use.
    assert wrong["red_zone"] >= steps["red_zone"] - 5
    assert wrong["flags_chain"] >= 5
    assert wrong["vector"] >= steps["vector"] - 3
