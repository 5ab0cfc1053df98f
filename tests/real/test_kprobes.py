"""The registry of probes keeps its rules: error codes, handlers, aggregation, batches, modules."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from testbed.errors import MachineFrozen
from testbed.machine import Machine, State
from testbed.text.image import Image
from testbed.text.model import INT3
from tests.real.conftest import MakeMachine, kinds, wait_until
from tests.real.probing import (
    DISABLED,
    EBUSY,
    EILSEQ,
    EINVAL,
    ENOENT,
    ENOSPC,
    EOPNOTSUPP,
    GONE,
    Probe,
    array_of,
    assert_pristine,
    error_code,
    put_string,
    registered,
)

MASK = 2**64 - 1


@pytest.fixture(params=["int3", "stop_machine"])
def booted(machine: MakeMachine, request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A machine of either poke method, whose text is pristine at the end."""
    one = machine(poke=request.param)
    yield one
    if one.state is not State.FROZEN:
        assert_pristine(one)


def call(machine: Machine, image: Image, name: str = "push_rbp", a: int = 5, b: int = 7) -> None:
    """Call a function and check its result."""
    function = image.function(name)
    assert function.expected is not None
    assert machine.text_call(function.addr, a, b) == function.expected(a, b) & MASK


def site(image: Image) -> int:
    return image.sites[0].address


def at(image: Image, name: str, offset: int = 0) -> int:
    return image.function(name).addr + offset


# Error codes: algorithms of kernel/kprobes.c, register_kprobe() (v6.12).


def test_a_probe_needs_an_address_or_a_symbol_and_not_both(booted: Machine, image: Image) -> None:
    name = put_string(booted, "push_rbp")
    assert Probe.make(booted).register() == EINVAL
    assert Probe.make(booted, at(image, "push_rbp"), symbol_name=name).register() == EINVAL


@pytest.mark.parametrize("offset", [0, 1, 5])
def test_a_symbol_and_an_offset_name_an_address(
    booted: Machine, image: Image, offset: int
) -> None:
    probe = Probe.make(booted, symbol_name=put_string(booted, "push_rbp"), offset=offset)
    assert probe.register() == 0
    assert int(probe.kprobe["addr"]) == at(image, "push_rbp", offset)
    call(booted, image)
    assert probe.hits == 1
    booted.call("unregister_kprobe", probe.address)


def test_an_address_and_an_offset_name_an_address(booted: Machine, image: Image) -> None:
    probe = Probe.make(booted, at(image, "push_rbp"), offset=4)
    assert probe.register() == 0
    assert int(probe.kprobe["addr"]) == at(image, "push_rbp", 4)
    booted.call("unregister_kprobe", probe.address)


@pytest.mark.parametrize(
    ("name", "offset", "code"),
    [("no_such_function", 0, ENOENT), ("push_rbp", 2, EILSEQ), ("push_rbp", 1 << 40, ENOENT),
     ("endbr64", 1, EILSEQ), ("call_memory", 4, EOPNOTSUPP)],
)  # fmt: skip
def test_a_symbol_that_does_not_lead_to_an_instruction_is_refused(
    booted: Machine, name: str, offset: int, code: int
) -> None:
    probe = Probe.make(booted, symbol_name=put_string(booted, name), offset=offset)
    assert probe.register() == code
    # As it was: it may be tried again.
    assert int(probe.kprobe["addr"]) == 0
    assert registered(booted) == 0


def test_an_address_outside_of_every_function_is_refused(booted: Machine, image: Image) -> None:
    text = image.modules[0]
    slots = text.start + image.slots_offset
    for addr in (1, text.start - 1, text.start + text.size - 1, slots, slots + 16, MASK):
        assert Probe.make(booted, addr).register() in (ENOENT, EINVAL)


def test_what_others_patch_is_refused(booted: Machine, image: Image) -> None:
    assert Probe.make(booted, site(image)).register() == EINVAL


def test_a_blacklisted_range_is_refused_until_it_is_taken_off(
    booted: Machine, image: Image
) -> None:
    start = at(image, "push_rbp", 1)
    assert error_code(booted, "kprobe_blacklist_add", start, start) == EINVAL
    assert error_code(booted, "kprobe_blacklist_add", start, start + 4) == 0
    inside = [Probe.make(booted, start + offset) for offset in (0, 3)]
    outside = [Probe.make(booted, start + offset) for offset in (-1, 4)]
    assert [probe.register() for probe in inside] == [EINVAL] * 2
    assert [probe.register() for probe in outside] == [0] * 2
    assert error_code(booted, "kprobe_blacklist_remove", start, start + 5) == ENOENT
    assert error_code(booted, "kprobe_blacklist_remove", start, start + 4) == 0
    assert [probe.register() for probe in inside] == [0] * 2
    for probe in inside + outside:
        probe.unregister()


def test_a_probe_is_registered_once(booted: Machine, image: Image) -> None:
    probe, other = (Probe.make(booted, at(image, "push_rbp")) for _ in "ab")
    assert probe.register() == 0
    assert probe.register() == EINVAL
    assert other.register() == 0
    assert (probe.register(), other.register()) == (EINVAL, EINVAL)
    assert registered(booted) == 2
    for one in (probe, other):
        one.unregister()


def test_what_is_not_registered_cannot_be_disabled_nor_enabled(
    booted: Machine, image: Image
) -> None:
    probe = Probe.make(booted, at(image, "push_rbp"))
    assert (probe.disable(), probe.enable()) == (EINVAL, EINVAL)
    booted.call("unregister_kprobe", probe.address)
    assert int(probe.kprobe["addr"]) == 0, "that is how the caller is told"


def test_text_that_somebody_has_changed_is_refused(booted: Machine, image: Image) -> None:
    address = at(image, "push_rbp", 1)
    original = booted.read(address, 1)[0]
    booted.call("write_text_byte", address, original ^ 1)
    assert Probe.make(booted, address).register() == EILSEQ
    booted.call("write_text_byte", address, original)


def test_arming_that_fails_leaves_nothing(machine: MakeMachine, image: Image) -> None:
    booted = machine(fail_arm=1)
    probe, other = (Probe.make(booted, at(image, "push_rbp")) for _ in "ab")
    assert probe.register() == EBUSY
    assert registered(booted) == 0
    other.kprobe["flags"] = DISABLED
    assert other.register() == 0
    assert other.enable() == EBUSY
    assert int(other.kprobe["flags"]) & DISABLED
    assert probe.register() == EBUSY
    assert registered(booted) == 1
    other.unregister()
    assert_pristine(booted)


def test_when_the_slots_are_used_up_the_next_probe_is_refused(
    machine: MakeMachine, image: Image
) -> None:
    booted = machine(cpus=1)
    text = booted.record["text"]
    text["slots_size"] = 3 * 16
    offsets = image.boundaries(image.function("red_zone"))[:4]
    probes = [Probe.make(booted, at(image, "red_zone", offset)) for offset in offsets]
    assert [probe.register() for probe in probes] == [0, 0, 0, ENOSPC]
    probes[0].unregister()
    assert probes[3].register() == 0
    for probe in probes[1:]:
        probe.unregister()
    assert_pristine(booted)


# Handlers.


def test_a_handler_runs_once_for_each_hit(booted: Machine, image: Image) -> None:
    probe = Probe.make(booted, at(image, "push_rbp"))
    assert probe.register() == 0
    assert booted.read(at(image, "push_rbp"), 1)[0] == INT3
    for n in range(1, 20):
        call(booted, image, a=n)
        assert probe.hits == n
    probe.unregister()
    call(booted, image)
    assert probe.hits == 19


@pytest.mark.parametrize("name", ["push_rbp", "string_copy", "call_direct"])
def test_a_post_handler_runs_after_each_hit(booted: Machine, image: Image, name: str) -> None:
    offset = {"string_copy": 22, "call_direct": 8}.get(name, 0)
    probe = Probe.make(booted, at(image, name, offset), "post_count")
    assert probe.register() == 0
    for _ in range(10):
        call(booted, image, name)
    assert (probe.hits, probe.post_hits) == (10, 10)
    probe.unregister()


def test_a_handler_sees_the_registers(booted: Machine, image: Image) -> None:
    probe = Probe.make(booted, at(image, "push_rbp"), handler="")
    probe.kprobe["pre_handler"] = int(booted.global_("remember_handler"))
    assert probe.register() == 0
    call(booted, image, a=0x1234, b=0x5678)
    seen = [int(booted.global_(f"seen_{name}")) for name in ("ip", "di", "si")]
    assert seen == [at(image, "push_rbp", 1), 0x1234, 0x5678]
    probe.unregister()


def test_a_handler_may_go_elsewhere(booted: Machine, image: Image) -> None:
    probe = Probe.make(booted, at(image, "push_rbp"), handler="")
    probe.kprobe["pre_handler"] = int(booted.global_("redirect_handler"))
    booted.global_("go_to")[...] = at(image, "five_bytes")
    other = image.function("five_bytes").expected
    assert other is not None
    assert probe.register() == 0
    assert booted.text_call(at(image, "push_rbp"), 3, 4) == other(3, 4) & MASK
    stats = booted.global_("kprobe_stats")
    assert int(stats["redirected"].sum()) == 1
    probe.unregister()
    call(booted, image)


def test_a_handler_may_return_for_the_function(booted: Machine, image: Image) -> None:
    probe = Probe.make(booted, at(image, "push_rbp"), "skip")
    probe.record["skip_value"] = 99
    assert probe.register() == 0
    assert booted.text_call(at(image, "push_rbp"), 3, 4) == 99
    probe.unregister()


def test_a_hit_inside_of_a_handler_is_counted_as_missed(booted: Machine, image: Image) -> None:
    outer = Probe.make(booted, at(image, "push_rbp"), "reenter")
    inner = [Probe.make(booted, at(image, "five_bytes")) for _ in "ab"]
    expected = image.function("five_bytes").expected
    assert expected is not None
    outer.record["function"] = at(image, "five_bytes")
    outer.record["argument"] = (3, 4)
    outer.record["expected"] = expected(3, 4) & MASK
    for probe in (outer, *inner):
        assert probe.register() == 0
    for _ in range(5):
        call(booted, image)
    call(booted, image, "five_bytes")

    assert outer.hits == int(outer.record["cpu"]["reentered"].sum()) == 5
    assert [(probe.hits, probe.missed) for probe in inner] == [(1, 5), (1, 5)]
    assert outer.missed == 0
    for probe in (outer, *inner):
        probe.unregister()


def test_a_probe_that_calls_its_own_function_misses_itself(
    booted: Machine, image: Image
) -> None:
    probe = Probe.make(booted, at(image, "push_rbp"), "reenter")
    expected = image.function("push_rbp").expected
    assert expected is not None
    probe.record["function"] = at(image, "push_rbp")
    probe.record["expected"] = expected(0, 0) & MASK
    assert probe.register() == 0
    call(booted, image)
    assert (probe.hits, probe.missed) == (1, 1)
    probe.unregister()


# Several probes at one address.


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_probes_at_one_address_are_all_hit_and_leave_in_any_order(
    booted: Machine, image: Image, order: tuple[int, ...]
) -> None:
    probes = [Probe.make(booted, at(image, "push_rbp")) for _ in range(3)]
    for number, probe in enumerate(probes, 1):
        assert probe.register() == 0
        assert registered(booted) == number
    hits = [0, 0, 0]
    left = {0, 1, 2}
    for gone in order:
        call(booted, image)
        hits = [count + (number in left) for number, count in enumerate(hits)]
        assert [probe.hits for probe in probes] == hits
        probes[gone].unregister()
        left -= {gone}
        assert registered(booted) == len(left)
    call(booted, image)
    assert [probe.hits for probe in probes] == hits


def test_a_disabled_probe_is_not_hit_and_the_others_are(booted: Machine, image: Image) -> None:
    probes = [Probe.make(booted, at(image, "push_rbp")) for _ in range(3)]
    for probe in probes:
        assert probe.register() == 0
    assert probes[1].disable() == 0
    assert probes[1].disable() == 0
    call(booted, image)
    assert [probe.hits for probe in probes] == [1, 0, 1]
    for probe in (probes[0], probes[2]):
        assert probe.disable() == 0
    # The last one takes the breakpoint with it.
    assert booted.read(at(image, "push_rbp"), 1)[0] != INT3
    call(booted, image)
    assert probes[1].enable() == 0
    call(booted, image)
    assert [probe.hits for probe in probes] == [1, 1, 1]
    for probe in probes:
        probe.unregister()


def test_a_probe_may_be_registered_disabled(booted: Machine, image: Image) -> None:
    probe = Probe.make(booted, at(image, "push_rbp"), flags=DISABLED)
    assert probe.register() == 0
    assert booted.read(at(image, "push_rbp"), 1)[0] != INT3
    call(booted, image)
    assert probe.enable() == 0
    call(booted, image)
    assert probe.hits == 1
    probe.unregister()


def test_a_post_handler_among_several_runs_for_its_own_probe(
    booted: Machine, image: Image
) -> None:
    plain = Probe.make(booted, at(image, "push_rbp"))
    post = Probe.make(booted, at(image, "push_rbp"), "post_count")
    assert (plain.register(), post.register()) == (0, 0)
    call(booted, image)
    post.unregister()
    call(booted, image)
    assert (plain.hits, plain.post_hits) == (2, 0)
    assert (post.hits, post.post_hits) == (1, 1)
    plain.unregister()


# Batches, and all at once.


def test_a_batch_is_registered_and_unregistered_at_once(booted: Machine, image: Image) -> None:
    names = ["nop5", "push_rbp", "endbr64", "tail_call"]
    probes = [Probe.make(booted, at(image, name)) for name in names]
    batch = array_of(booted, probes)
    assert error_code(booted, "register_kprobes", batch, 4) == 0
    assert registered(booted) == 4
    for name in names[:3]:
        call(booted, image, name)
    assert [probe.hits for probe in probes[:3]] == [1, 1, 1]
    booted.call("unregister_kprobes", batch, 4)


@pytest.mark.parametrize("bad", [0, 1, 3])
def test_a_batch_is_registered_as_a_whole_or_not_at_all(
    booted: Machine, image: Image, bad: int
) -> None:
    probes = [Probe.make(booted, at(image, name)) for name in ("nop5", "push_rbp", "endbr64")]
    probes.insert(bad, Probe.make(booted, at(image, "push_rbp", 2)))
    assert error_code(booted, "register_kprobes", array_of(booted, probes), 4) == EILSEQ
    assert registered(booted) == 0
    call(booted, image)
    assert [probe.hits for probe in probes] == [0] * 4


def test_one_probe_twice_in_a_batch_is_refused(booted: Machine, image: Image) -> None:
    probe = Probe.make(booted, at(image, "push_rbp"))
    assert error_code(booted, "register_kprobes", array_of(booted, [probe, probe]), 2) == EINVAL
    assert registered(booted) == 0


def test_all_probes_are_disarmed_and_armed_at_once(booted: Machine, image: Image) -> None:
    probes = [Probe.make(booted, at(image, name)) for name in ("nop5", "push_rbp", "endbr64")]
    for probe in probes[:2]:
        assert probe.register() == 0
    assert probes[1].disable() == 0
    booted.call("disarm_all_kprobes")
    assert probes[2].register() == 0
    for name in ("nop5", "push_rbp", "endbr64"):
        assert booted.read(at(image, name), 1)[0] != INT3
        call(booted, image, name)
    assert error_code(booted, "arm_all_kprobes") == 0
    for name in ("nop5", "push_rbp", "endbr64"):
        call(booted, image, name)
    assert [probe.hits for probe in probes] == [1, 0, 1]
    for probe in probes:
        probe.unregister()


# Modules that go away.


def test_probes_of_a_module_that_went_are_gone(booted: Machine, image: Image) -> None:
    probes = [Probe.make(booted, at(image, "push_rbp")) for _ in "ab"]
    for probe in probes:
        assert probe.register() == 0
    assert error_code(booted, "text_module_unload", 0) == 0
    assert error_code(booted, "text_module_unload", 0) == EINVAL
    assert all(int(probe.kprobe["flags"]) & GONE for probe in probes)
    assert probes[0].enable() == EINVAL
    assert Probe.make(booted, at(image, "nop5")).register() == ENOENT

    assert error_code(booted, "text_module_load", 0) == 0
    call(booted, image)
    assert [probe.hits for probe in probes] == [0, 0]
    for probe in probes:
        probe.unregister()
    again = Probe.make(booted, at(image, "push_rbp"))
    assert again.register() == 0
    call(booted, image)
    assert again.hits == 1
    again.unregister()


def test_a_new_probe_revives_an_address_that_was_gone(booted: Machine, image: Image) -> None:
    old, new = (Probe.make(booted, at(image, "push_rbp")) for _ in "ab")
    assert old.register() == 0
    error_code(booted, "text_module_unload", 0)
    error_code(booted, "text_module_load", 0)
    assert new.register() == 0
    call(booted, image)
    assert (old.hits, new.hits) == (0, 1)
    for probe in (old, new):
        probe.unregister()


# Under fire.


def hit_beyond(probe: Probe, hits: int) -> bool:
    return probe.hits > hits


def called_since(views: list[Any], calls: list[int]) -> bool:
    return all(view["calls"] > before for view, before in zip(views, calls, strict=True))


def test_probes_come_and_go_while_others_call(machine: MakeMachine, image: Image) -> None:
    booted = machine(cpus=4)
    function = image.function("push_rbp")
    assert function.expected is not None
    blocks = [booted.alloc("struct calling") for _ in range(4)]
    views = [booted.view(block, "struct calling")[0] for block in blocks]
    for cpu, (block, view) in enumerate(zip(blocks, views, strict=True)):
        view["addr"], view["expected"] = function.addr, function.expected(cpu, 1) & MASK
        view["argument"] = (cpu, 1)
        booted.spawn(cpu, "keep_calling", block)
    probe = Probe.make(booted, function.addr)
    for _ in range(30):
        assert probe.register() == 0
        assert wait_until(partial(hit_beyond, probe, probe.hits + 10))
        probe.unregister()
        after = probe.hits
        assert wait_until(partial(called_since, views, [int(view["calls"]) for view in views]))
        assert probe.hits == after, "no handler runs after unregister"
    booted.stop()
    assert booted.wait(20) is State.FINISHED
    assert [int(view["wrong"]) for view in views] == [0] * 4
    assert_pristine(booted)


def test_a_handler_after_unregister_is_found(booted: Machine, image: Image) -> None:
    # The twin of the above: the record says that it is unregistered, and it is not.
    probe = Probe.make(booted, at(image, "push_rbp"))
    assert probe.register() == 0
    booted.call("probe_record_unregistered", probe.record_address)
    with pytest.raises(MachineFrozen):
        booted.text_call(at(image, "push_rbp"))

    assert kinds(booted) == ["HANDLER_AFTER_UNREGISTER"]
    assert int(booted.findings[0]["value"][0]) == probe.address
