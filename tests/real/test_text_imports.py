"""What libraries import works: zlib runs on a machine, on the core's own malloc and memcpy."""

import random
import zlib
from collections.abc import Iterator

import numpy as np
import pytest

from testbed.build import build
from testbed.config import MachineConfig
from testbed.errors import MachineFrozen
from testbed.layout import Layout
from testbed.machine import Machine
from testbed.text.image import IMPORT_PREFIX, build_image

ROOM = 200_000


@pytest.fixture
def machine() -> Iterator[Machine]:
    core = build()
    symbols = Layout.of(core).symbols().items()
    imports = {name: one.address for name, one in symbols if name.startswith(IMPORT_PREFIX)}
    with Machine(core, build_image(imports=imports), MachineConfig(cpus=1)) as booted:
        yield booted


def put(machine: Machine, data: bytes) -> int:
    address = machine.alloc(max(len(data), 1))
    machine.view(address, "u8", max(len(data), 1))[: len(data)] = np.frombuffer(data, np.uint8)
    return address


def library(machine: Machine, name: str, *args: int) -> int:
    assert machine.image is not None
    address = next(one.addr for one in machine.image.functions if one.name == name)
    return machine.call(address, *args)


def convert(machine: Machine, name: str, data: bytes) -> bytes:
    """Call compress() or uncompress(), which have the same arguments."""
    out, size = machine.alloc(ROOM), put(machine, ROOM.to_bytes(8, "little"))
    status = library(machine, name, out, size, put(machine, data), len(data))
    assert status & 0xFFFF_FFFF == 0
    return machine.read(out, int.from_bytes(machine.read(size, 8), "little"))


def samples() -> list[bytes]:
    source = random.Random(1)
    words = [source.randbytes(source.randint(1, 12)) for _ in range(50)]
    text = b" ".join(source.choices(words, k=8000))
    return [b"", b"a", text, source.randbytes(40_000), bytes(100_000)]


def test_a_library_computes_on_a_machine_what_it_computes_here(machine: Machine) -> None:
    for data in samples():
        assert library(machine, "crc32", 0, put(machine, data), len(data)) == zlib.crc32(data)
        packed = convert(machine, "compress", data)
        assert zlib.decompress(packed) == data
        assert convert(machine, "uncompress", packed) == data
    assert machine.call("slab_audit") >= 0
    assert len(machine.findings) == 0


MEMORY = bytes(range(1, 100)) * 3


@pytest.mark.parametrize(("to", "size"), [(0, 50), (10, 50), (5, 100), (1, 200), (60, 3), (7, 0)])
def test_memmove_copies_over_itself_in_both_directions(
    machine: Machine, to: int, size: int
) -> None:
    for start, end in ((30, 30 + to), (30 + to, 30)):
        at = put(machine, MEMORY)
        assert machine.call("import_memmove", at + end, at + start, size) == at + end
        expected = bytearray(MEMORY)
        expected[end : end + size] = MEMORY[start : start + size]
        assert machine.read(at, len(MEMORY)) == expected


def test_memory_functions_follow_their_contracts(machine: Machine) -> None:
    at = put(machine, MEMORY + b"\0")
    assert machine.call("import_memchr", at, 256 + 50, 99) == at + 49
    assert machine.call("import_memchr", at, 50, 49) == 0
    assert machine.call("import_strlen", at) == len(MEMORY)
    assert machine.call("import_memcmp", at, at + 99, 99) == 0
    assert machine.call("import_memset", at, 7, 5) == at
    assert machine.read(at, 6) == b"\7\7\7\7\7\6"
    assert machine.call("import_memcpy", at, at + 10, 3) == at
    assert machine.read(at, 4) == MEMORY[10:13] + b"\7"
    object_ = machine.call("import_calloc", 10, 10)
    assert machine.read(object_, 100) == bytes(100)
    larger = machine.call("import_realloc", object_, 1000)
    assert machine.read(larger, 100) == bytes(100)
    assert machine.call("import_calloc", 2**33, 2**33) == 0
    for freed in (larger, 0, machine.call("import_malloc", 0)):
        machine.call("import_free", freed)
    assert len(machine.findings) == 0


def test_what_nobody_provides_is_a_finding_when_it_is_called(machine: Machine) -> None:
    assert machine.image is not None
    name = put(machine, b"name\0")
    with pytest.raises(MachineFrozen):
        library(machine, "gzopen", name, put(machine, b"r\0"))
    found = machine.findings[0]
    assert found["kind"] == machine.layout.enum("finding_kind")["FINDING_BAD_STATE"]
    # Which one comes first is for this version of the library to say.
    names = {one.addr: one.name for one in machine.image.functions}
    assert names[int(found["value"][0])].startswith("missing:")


def test_an_overflow_that_the_compiler_saw_coming_is_a_finding(machine: Machine) -> None:
    at = put(machine, MEMORY)
    assert machine.call("import___memcpy_chk", at, at + 50, 10, 10) == at
    with pytest.raises(MachineFrozen):
        machine.call("import___memset_chk", at, 0, 11, 10)
    assert list(machine.findings[0]["value"][:3]) == [at, 11, 10]
