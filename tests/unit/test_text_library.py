"""A real library works where it was put: zlib, compared with Python's own."""

import ctypes
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.text.elf import read_library
from testbed.text.image import build_image
from testbed.text.model import PAGE, TEXT_BASE, FunctionFlag, Protection
from testbed.text.search import find_library
from tests.unit.text_native import ZLIB_IMPORTS, Native, libc_imports, mapped

NOT_IN_TEXT = ("open", "read", "write", "close", "strerror")
LENGTH = ctypes.c_ulong


@pytest.fixture(scope="module")
def native() -> Iterator[Native]:
    with mapped(build_image(imports=libc_imports(*ZLIB_IMPORTS))) as one:
        yield one


def checksum(native: Native, name: str, start: int, data: bytes) -> int:
    prototype = ctypes.CFUNCTYPE(LENGTH, LENGTH, ctypes.c_char_p, ctypes.c_uint)
    return int(prototype(native.image.function(name).addr)(start, data, len(data)))


def convert(native: Native, name: str, data: bytes, room: int) -> bytes:
    """Call compress() or uncompress(), which have the same arguments."""
    prototype = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.c_char_p, ctypes.POINTER(LENGTH), ctypes.c_char_p, LENGTH
    )
    out, size = ctypes.create_string_buffer(room), LENGTH(room)
    status = prototype(native.image.function(name).addr)(out, size, data, len(data))
    assert status == 0
    return out.raw[: size.value]


DATA = st.one_of(
    st.binary(max_size=3000),
    st.tuples(st.binary(min_size=1, max_size=40), st.integers(1, 900)).map(lambda n: n[0] * n[1]),
)
BRIEFLY = settings(max_examples=40, deadline=None)


def test_checksums_of_the_loaded_library_are_right(native: Native) -> None:
    @BRIEFLY
    @given(data=DATA, start=st.integers(0, 2**32 - 1))
    def check(data: bytes, start: int) -> None:
        assert checksum(native, "crc32", start, data) == zlib.crc32(data, start)
        assert checksum(native, "adler32", 1, data) == zlib.adler32(data)

    check()


def test_the_loaded_library_compresses_and_python_decompresses(native: Native) -> None:
    @BRIEFLY
    @given(data=DATA)
    def check(data: bytes) -> None:
        packed = convert(native, "compress", data, len(data) + 1000)
        assert zlib.decompress(packed) == data
        assert convert(native, "uncompress", zlib.compress(data), len(data) + 10) == data

    check()


def test_the_library_keeps_its_own_layout(native: Native) -> None:
    image = native.image
    library = read_library(find_library("libz.so.1"))
    module = image.modules[1]
    assert (module.name, module.size) == ("libz.so.1", library.size)
    crc32 = next(symbol for symbol in library.symbols if symbol.name == "crc32")
    assert image.function("crc32").addr - module.start == crc32.value - library.start
    code = next(one for one in library.loadables if one.protection & Protection.EXEC)
    offset = module.start - TEXT_BASE + code.address - library.start
    # Code needs no relocation, so it is the file's.
    assert image.text[offset : offset + len(code.data)] == code.data


def test_what_makes_no_sense_in_text_is_told_as_missing(native: Native) -> None:
    assert set(NOT_IN_TEXT) <= set(native.image.missing)
    assert not {"malloc", "memcpy", "__cxa_finalize"} & set(native.image.missing)
    for name in NOT_IN_TEXT:
        stub = native.image.function(f"missing:{name}")
        assert stub.flags == FunctionFlag.NOPROBE
        assert stub.name in native.image.noprobe


def test_functions_of_the_library_are_sorted_and_in_its_code(native: Native) -> None:
    image = native.image
    addresses = [function.addr for function in image.functions]
    assert addresses == sorted(set(addresses))
    code = [one for one in image.segments if one.protection & Protection.EXEC]
    for function in image.functions:
        offset = function.addr - TEXT_BASE
        assert any(one.offset <= offset < one.offset + one.size for one in code)
        assert image.boundaries(function)[0] == 0
    assert image.undecoded == ()


def test_segments_are_whole_pages_apart_from_each_other(native: Native) -> None:
    end = 0
    for segment in native.image.segments:
        assert segment.offset % PAGE == segment.size % PAGE == 0
        assert segment.offset >= end
        end = segment.offset + segment.size
        assert segment.protection != Protection.WRITE | Protection.EXEC
    assert end == len(native.image.text)
