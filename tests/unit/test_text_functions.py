"""The assembled functions compute what their models say, patched or not, and lie as they should."""

from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from testbed.text.functions import DEFINITIONS
from testbed.text.image import build_image
from testbed.text.model import (
    CACHE_LINE,
    INT3,
    NOP5,
    TEXT_BASE,
    FunctionFlag,
    PatchSite,
    TextFunction,
)
from tests.unit.text_native import Native, mapped

IMAGE = build_image(library=None, imports={})
CALLABLE = [one for one in IMAGE.functions if one.expected is not None]
PATCHED = [(site, number) for site in IMAGE.sites for number in range(len(site.alternatives))]

NUMBERS = st.one_of(
    st.integers(0, 2**64 - 1), st.integers(0, 20), st.sampled_from((2**63 - 1, 2**63, 2**64 - 1))
)
# Conditions need equal and nearly equal numbers as well.
PAIRS = st.one_of(
    st.tuples(NUMBERS, NUMBERS),
    st.tuples(NUMBERS, st.integers(-2, 2)).map(lambda n: (n[0], (n[0] + n[1]) % 2**64)),
)
BRIEFLY = settings(max_examples=60, deadline=None)


@pytest.fixture(scope="module")
def native() -> Iterator[Native]:
    with mapped(IMAGE) as one:
        yield one


def name(function: object) -> str:
    return function.name if isinstance(function, TextFunction) else ""


@pytest.mark.parametrize("function", CALLABLE, ids=name)
def test_a_function_returns_what_its_model_says(native: Native, function: TextFunction) -> None:
    expected = function.expected
    assert expected is not None

    @BRIEFLY
    @example(pair=(0, 0))
    @given(pair=PAIRS)
    def check(pair: tuple[int, int]) -> None:
        assert native.call(function.addr, *pair) == expected(*pair)

    check()


@pytest.mark.parametrize(("site", "number"), PATCHED)
def test_a_patched_function_returns_what_the_patch_says(
    native: Native, site: PatchSite, number: int
) -> None:
    alternative = site.alternatives[number]
    function = IMAGE.function(site.function)

    @BRIEFLY
    @example(pair=(1, 2))
    @given(pair=PAIRS)
    def check(pair: tuple[int, int]) -> None:
        assert native.call(function.addr, *pair) == alternative.expected(*pair)

    with native.patched(site.address, alternative.data):
        check()


def test_every_form_of_a_site_can_be_told_from_the_others() -> None:
    """Otherwise a call that ran the wrong form would pass."""
    for site in IMAGE.sites:
        function = IMAGE.function(site.function)
        assert function.expected is not None
        models = [function.expected, *(one.expected for one in site.alternatives)]
        assert len({model(1000, 77) for model in models}) == len(models)


def test_every_function_depends_on_its_arguments(native: Native) -> None:
    """Otherwise the models above would say nothing about registers that got lost."""
    for function in CALLABLE:
        results = {native.call(function.addr, a, b) for a, b in ((0, 0), (3, 40), (99, 5))}
        assert len(results) > 1, function.name


def test_functions_are_sorted_apart_and_padded_with_breakpoints() -> None:
    end = module = 0
    for function in IMAGE.functions:
        start = function.addr - TEXT_BASE
        assert start >= end
        # Between modules there are constants.
        assert function.module != module or set(IMAGE.text[end:start]) <= {INT3}
        module = function.module
        end = start + function.size
    assert len({function.name for function in IMAGE.functions}) == len(IMAGE.functions)


def test_all_but_one_start_on_16_bytes_and_that_one_crosses_a_line() -> None:
    odd = [function for function in IMAGE.functions if function.addr % 16]
    assert [function.name for function in odd] == ["line_crossing"]
    first = int(IMAGE.text_map["length"][odd[0].addr - TEXT_BASE])
    assert odd[0].addr // CACHE_LINE != (odd[0].addr + first - 1) // CACHE_LINE


def test_sites_lie_inside_and_across_cache_lines_and_jump_both_ways() -> None:
    by_function = {site.function: site for site in IMAGE.sites}
    crossing = {
        name: site.address // CACHE_LINE != (site.address + 4) // CACHE_LINE
        for name, site in by_function.items()
    }
    assert crossing == {
        "site_jump_forward": False, "site_jump_backward": True, "site_call": True,
        "site_pair": False,
    }  # fmt: skip
    for site in IMAGE.sites:
        offset = site.address - TEXT_BASE
        assert IMAGE.text[offset : offset + 5] == site.old_bytes
        assert (site.old_bytes == NOP5) == (site.function != "site_pair")
        assert all(len(one.data) == 5 for one in site.alternatives)
    assert by_function["site_jump_backward"].alternatives[0].data[4] == 0xFF
    assert by_function["site_jump_forward"].alternatives[0].data[4] == 0x00
    assert by_function["site_call"].alternatives[0].data[0] == 0xE8


def test_only_what_can_be_called_with_two_numbers_is_flagged_so() -> None:
    for function in IMAGE.functions:
        callable_ = bool(function.flags & FunctionFlag.ASSEMBLED)
        assert callable_ == (function.expected is not None)
    assert IMAGE.function("ret_imm_callee").expected is None


def test_every_definition_is_in_the_image_once() -> None:
    assert [one.name for one in IMAGE.functions] == [one.name for one in DEFINITIONS]
    assert len(CALLABLE) >= 16
