"""Every instruction of every assembled function takes a probe, or is refused for a reason."""

import random

import pytest

from testbed.machine import Machine
from testbed.text.image import Image
from testbed.text.model import TEXT_BASE, FunctionFlag, InsnClass, InsnFlag, TextFunction
from tests.real.conftest import MakeMachine
from tests.real.probing import EILSEQ, EINVAL, EOPNOTSUPP, Probe, assert_pristine

MASK = 2**64 - 1
ARGUMENTS = [(0, 0), (1, 2), (MASK, 1 << 63)]


def expected_code(image: Image, function: TextFunction, offset: int) -> int:
    row = image.text_map[function.addr + offset - TEXT_BASE]
    if function.flags & FunctionFlag.NOPROBE or row["flags"] & InsnFlag.PATCHABLE:
        return EINVAL
    if row["class"] == InsnClass.REFUSED:
        return EOPNOTSUPP
    return 0 if row["length"] else EILSEQ


def callable_functions(image: Image) -> list[TextFunction]:
    return [function for function in image.functions if function.expected is not None]


def check_results(machine: Machine, function: TextFunction) -> int:
    """Call the function with all arguments and return how often that was."""
    assert function.expected is not None
    for a, b in ARGUMENTS:
        assert machine.text_call(function.addr, a, b) == function.expected(a, b) & MASK
    return len(ARGUMENTS)


@pytest.mark.parametrize("poke", ["int3", "stop_machine"])
@pytest.mark.parametrize("handler", ["count", "post_count"])
def test_every_instruction_takes_a_probe_or_is_refused_and_results_stay_right(
    machine: MakeMachine, image: Image, poke: str, handler: str
) -> None:
    booted = machine(poke=poke)
    for function in callable_functions(image):
        probe = Probe.make(booted, handler=handler)
        for offset in range(function.size):
            address = function.addr + offset
            probe.kprobe["addr"] = address
            code = probe.register()
            assert code == expected_code(image, function, offset), f"{function.name}+{offset}"
            if code:
                continue
            before = probe.hits, probe.post_hits
            calls = check_results(booted, function)
            hits, post = probe.hits - before[0], probe.post_hits - before[1]
            if offset in function.once:
                assert hits == calls, f"{function.name}+{offset}"
            assert post == (hits if handler == "post_count" else 0), f"{function.name}+{offset}"
            probe.unregister()
    assert_pristine(booted)


def test_all_instructions_of_a_function_probed_at_once(
    machine: MakeMachine, image: Image
) -> None:
    booted = machine(harness_mb=16)
    for function in callable_functions(image):
        probes = []
        for offset in image.boundaries(function):
            if expected_code(image, function, offset) == 0:
                probes.append(Probe.make(booted, function.addr + offset))
                assert probes[-1].register() == 0
        calls = check_results(booted, function)
        for probe in probes:
            if int(probe.kprobe["addr"]) - function.addr in function.once:
                assert probe.hits == calls
        random.Random(1).shuffle(probes)
        for probe in probes:
            probe.unregister()
    assert_pristine(booted)
