"""The image: its parts, its cache, and that it speaks of text as the C headers do."""

import re
from pathlib import Path

import numpy as np
import pytest

from testbed.paths import project_root
from testbed.text import image_cache
from testbed.text.decode import Decoded, decode
from testbed.text.image import Image, build_image
from testbed.text.image_cache import decode_cached
from testbed.text.model import (
    CACHE_LINE,
    INSN,
    INT3,
    NAME_SIZE,
    PAGE,
    TEXT_BASE,
    FunctionFlag,
    InsnClass,
    InsnFlag,
    Protection,
    Range,
)
from tests.unit.text_native import ZLIB_IMPORTS, libc_imports


def header(name: str) -> str:
    return (project_root() / "shm_layout" / name).read_text()


def defined(text: str, name: str) -> int:
    found = re.search(rf"#define {name} (\w+)", text)
    assert found is not None, name
    return int(found[1].removesuffix("UL"), 0)


def test_numbers_are_those_of_the_c_headers() -> None:
    text_map, types = header("text_map.h"), header("types.h")
    members = re.search(r"enum insn_class \{(.*?)\};", text_map, re.DOTALL)
    assert members is not None
    names = re.findall(r"^\tINSN_(\w+)", members[1], re.MULTILINE)
    assert names == [*(one.name for one in InsnClass), "CLASSES"]
    for prefix, flags in (
        ("INSN", InsnFlag), ("FUNCTION", FunctionFlag), ("SEGMENT", Protection)
    ):  # fmt: skip
        for flag in flags:
            assert defined(text_map, f"{prefix}_{flag.name}") == flag
    assert defined(types, "TEXT_BASE") == TEXT_BASE
    assert defined(types, "CACHE_LINE") == CACHE_LINE


def test_a_row_of_the_map_has_the_fields_of_struct_text_insn() -> None:
    fields = re.search(r"struct text_insn \{(.*?)\};", header("text_map.h"), re.DOTALL)
    assert fields is not None
    found = re.findall(r"^\t([us]\d+) (\w+);", fields[1], re.MULTILINE)
    types = {"u8": "u1", "s32": "<i4"}
    assert np.dtype([(name, types[kind]) for kind, name in found]) == INSN
    room = re.search(r"char name\[(\d+)\]", header("text_map.h"))
    assert room is not None
    assert int(room[1]) == NAME_SIZE + 1


def test_slots_are_executable_breakpoints_behind_everything_else() -> None:
    image = build_image(library=None, imports={}, slots_kb=10)
    assert image.slots_size == 3 * PAGE
    assert image.slots_offset + image.slots_size == len(image.text)
    assert image.segments[-1].offset == image.slots_offset
    assert image.segments[-1].protection == Protection.EXEC
    assert set(image.text[image.slots_offset :]) == {INT3}
    assert not image.text_map["length"][image.slots_offset :].any()


def test_code_constants_and_slots_never_share_a_page_with_another_protection() -> None:
    image = build_image(library=None, imports={})
    assert [segment.protection for segment in image.segments] == [
        Protection.EXEC, Protection(0), Protection.EXEC, Protection.EXEC, Protection.EXEC
    ]  # fmt: skip
    core, loadable = image.modules
    assert core.size == image.segments[0].size + image.segments[1].size
    last = image.functions[-1]
    assert loadable.start - TEXT_BASE == image.segments[2].offset
    assert loadable.start + loadable.size == last.addr + last.size
    assert (image.library, image.missing, image.undecoded) == (None, (), ())


def test_the_same_request_gives_the_same_image() -> None:
    imports = libc_imports(*ZLIB_IMPORTS)
    first, second = build_image(imports=imports), build_image(imports=imports)
    assert first.text == second.text
    assert (first.text_map == second.text_map).all()
    assert first.functions == second.functions


def test_where_the_core_is_changes_no_code_of_the_library() -> None:
    imports = libc_imports(*ZLIB_IMPORTS)
    moved = {name: address + 0x1000 for name, address in imports.items()}
    first, second = build_image(imports=imports), build_image(imports=moved)
    assert first.text != second.text
    for segment in first.segments:
        if segment.protection & Protection.EXEC:
            part = slice(segment.offset, segment.offset + segment.size)
            assert first.text[part] == second.text[part]


def test_an_unknown_function_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        build_image(library=None, imports={}).function("none")


@pytest.fixture
def image() -> Image:
    return build_image(library=None, imports={})


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(image_cache, "WORTH_KEEPING", 0.0)
    return tmp_path / "testbed" / "images"


def cached(image: Image, extra: bytes = b"\x90\xc3") -> Decoded:
    """Decode an image with a gap behind it, in which these bytes are."""
    start = len(image.text)
    return decode_cached(image.text + extra, [Range(start, start + len(extra))], image.functions)


def test_what_was_decoded_once_is_read_again(
    image: Image, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = cached(image)
    assert len(list(cache.glob("*.npz"))) == 1
    assert len(list(cache.iterdir())) == 1
    # From now on there is no decoder: only the file can answer.
    monkeypatch.setattr(image_cache, "decode", None)
    second = cached(image)
    assert (second.text_map == first.text_map).all()
    assert second.undecoded == first.undecoded
    with pytest.raises(TypeError):
        cached(image, b"\x90\x90\xc3")


def test_parts_that_are_no_instructions_are_remembered_too(
    image: Image, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = bytearray(image.text)
    text[1] = text[0] = 0x06
    first = decode_cached(bytes(text), [], image.functions)
    assert first.undecoded == (Range(0, image.functions[0].size),)
    monkeypatch.setattr(image_cache, "decode", None)
    assert decode_cached(bytes(text), [], image.functions).undecoded == first.undecoded
    assert list(cache.glob("*.npz"))


@pytest.mark.parametrize("damage", [b"", b"PK\3\4 not an archive", None])
def test_a_damaged_file_is_replaced(image: Image, cache: Path, damage: bytes | None) -> None:
    first = cached(image)
    path = next(cache.glob("*.npz"))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    assert (cached(image).text_map == first.text_map).all()
    assert len(path.read_bytes()) == len(whole)


def test_without_a_place_for_a_cache_it_only_takes_longer(
    image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(image_cache, "WORTH_KEEPING", 0.0)
    found = cached(image)
    direct = decode(image.text + b"\x90\xc3", [Range(len(image.text), len(image.text) + 2)],
                    image.functions)  # fmt: skip
    assert (found.text_map == direct.text_map).all()
