"""Types, constants, globals and source lines of a core, against what the compiler itself says."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from testbed import config
from testbed.build import Core, Request, build
from testbed.debug_info import read_debug_info
from testbed.errors import LayoutError
from testbed.layout import Layout
from testbed.linetable import LineTable, LineTables
from testbed.paths import project_root
from testbed.symbols import Symbols

TYPES = """\
#include <shm_layout/machine.h>

struct same { u64 first; };
struct inner { u8 byte; u32 word __attribute__((aligned(8))); };
typedef struct { s16 low; s16 high; } unnamed_t;

struct sample {
	char name[12];
	struct inner grid[2][3];
	union { u64 whole; u32 halves[2]; };
	struct { u8 x, y; } point;
	const volatile enum machine_state *state;
	s64 (*function)(void *);
	unnamed_t pair;
	double ratio;
	bool flag;
};

struct sample sample = { .name = "abc", .pair = { -1, 2 } };
u32 table[4] = { 1, 2, 3, 4 };
static volatile u32 twice = 1;

u32 read_twice(void)
{
	return twice;
}

static struct same here;

void *same_here(void)
{
	return &here;
}
"""

OTHER = """\
#include <shm_layout/types.h>

struct same { u8 first; u8 second; };
struct same other = { 1, 2 };
static volatile u16 twice = 2;

u32 read_twice_too(void)
{
	return twice;
}
"""

PLACES = """\
#include <shm_layout/types.h>

volatile u64 places;

static inline __attribute__((always_inline)) void deepest(u64 value)
{
	places += value; /* deepest */
}

static inline __attribute__((always_inline)) void middle(u64 value)
{
	deepest(value + 1); /* middle */
}

__attribute__((noinline)) void outer(u64 value)
{
	middle(value); /* outer */
}
"""

# Prints what the compiler thinks of "struct x" and "struct x" "member".
PRINTER = """\
#include <shm_layout/machine.h>
#include <stdio.h>

int main(void)
{{
{lines}
	return 0;
}}
"""


def make_core(folder: Path, **files: str) -> tuple[Core, Path]:
    """Build a core of the real headers and some sources of a test."""
    root, cache = folder / "project", folder / "cache"
    if not root.exists():
        shutil.copytree(project_root() / "shm_layout", root / "shm_layout")
        shutil.copytree(project_root() / "workers" / "include", root / "workers" / "include")
    sources = {
        "workers/kernel/types.c": TYPES,
        "workers/x86/other.c": OTHER,
        "workers/x86/places.c": PLACES,
        "workers/tasks/run.c": "int run_of_tasks;\n",
        "workers/real/main.c": files.get("main", "int main(void) { return 0; }\n"),
    }
    for name, text in sources.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return build(Request(), root=root, cache=cache), root


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Core:
    return make_core(tmp_path_factory.mktemp("layout"))[0]


@pytest.fixture(scope="module")
def layout(core: Core) -> Layout:
    return Layout.of(core)


def fields(dtype: np.dtype[Any], path: str = "") -> Iterator[tuple[str, int]]:
    """Yield the path and the offset in its struct of every field, however deep."""
    for name, entry in (dtype.fields or {}).items():
        yield f"{path}{name}", entry[1]


def printer_of(layout: Layout, names: list[str]) -> str:
    lines = []
    for name in names:
        lines.append(f'\tprintf("%zu\\n", sizeof({name}));')
        lines += [
            f'\tprintf("%zu\\n", offsetof({name}, {field}));'
            for field, _ in fields(layout.dtype(name))
        ]
    return PRINTER.format(lines="\n".join(lines))


SHARED = [
    "struct machine", "struct config", "struct region", "struct text", "struct text_insn",
    "struct text_function", "struct text_module", "struct text_segment", "struct request",
    "struct cpu", "struct frozen", "struct ring", "struct event", "struct task_struct",
    "struct wait_note", "struct finding", "struct side", "struct pt_regs",
]  # fmt: skip


def test_every_offset_and_size_is_the_compilers(tmp_path: Path, layout: Layout) -> None:
    core, _ = make_core(tmp_path, main=printer_of(layout, SHARED))

    printed = subprocess.run([core.path], check=True, capture_output=True, text=True)

    ours = []
    for name in SHARED:
        ours.append(layout.sizeof(name))
        ours += [offset for _, offset in fields(layout.dtype(name))]
    assert [int(number) for number in printed.stdout.split()] == ours
    assert len(ours) > 150


def test_python_follows_a_struct_that_changes(tmp_path: Path, layout: Layout) -> None:
    _, root = make_core(tmp_path)
    header = root / "shm_layout" / "machine.h"
    changed = header.read_text().replace(
        "struct config {\n", "struct config {\n\tu8 added[3];\n\tu64 more;\n"
    )
    header.write_text(changed)

    after = Layout.of(build(Request(), root=root, cache=tmp_path / "cache"))

    assert after.dtype("struct config")["added"].shape == (3,)
    assert after.offset("struct config", "more") == 8
    assert after.offset("struct config", "cpus") == 16
    grown = after.sizeof("struct config") - layout.sizeof("struct config")
    assert grown == 16
    assert after.offset("struct machine", "state") == layout.offset("struct machine", "state") + 16


def test_a_struct_has_the_shapes_that_it_has_in_c(layout: Layout) -> None:
    sample = layout.dtype("struct sample")

    assert sample["name"] == np.dtype("S12")
    assert sample["grid"].shape == (2, 3)
    assert layout.sizeof("struct inner") == 16
    assert sample["pair"] == layout.dtype("unnamed_t")
    assert sample["point"].names == ("x", "y")
    assert sample["state"] == sample["function"] == np.dtype("<u8")
    assert sample["ratio"] == np.dtype("<f8")
    assert sample["flag"] == np.dtype("u1")
    assert layout.dtype("u32") == np.dtype("<u4")
    assert layout.dtype("s64") == np.dtype("<i8")


def test_members_of_a_union_overlap(layout: Layout) -> None:
    record = np.zeros(1, layout.dtype("struct sample"))
    record["whole"] = 0x1_0000_0002

    assert record["halves"].tolist() == [[2, 1]]


def test_two_structs_of_one_name_stay_two(layout: Layout) -> None:
    here = layout.variable("here")
    other = layout.variable("other")

    assert layout.dtype_of(here.type).names == ("first",)
    assert layout.dtype_of(other.type).names == ("first", "second")


def test_enums_and_constants_have_their_values(layout: Layout) -> None:
    states = layout.enum("machine_state")

    assert states["MACHINE_EMPTY"] == 0
    assert list(states)[:3] == ["MACHINE_EMPTY", "MACHINE_BOOTING", "MACHINE_RUNNING"]
    assert layout.constant("ARENA_BASE") == 0x1000_0000_0000
    assert layout.constant("MAX_CPUS") == config.MAX_CPUS


def test_what_is_not_there_is_named(layout: Layout) -> None:
    with pytest.raises(LayoutError, match=r"struct nothing: the core of .* has no such type"):
        layout.dtype("struct nothing")
    with pytest.raises(LayoutError, match=r"enum nothing: the core of .* has no such type"):
        layout.enum("nothing")
    with pytest.raises(LayoutError, match="NOTHING: not among the constants"):
        layout.constant("NOTHING")
    with pytest.raises(LayoutError, match=r"nothing: the core of .* has no such symbol"):
        layout.symbol("nothing")
    with pytest.raises(LayoutError, match="nothing: is not there in the core"):
        layout.variable("nothing")
    with pytest.raises(LayoutError, match=r"struct config: has no field cpus\.more"):
        layout.offset("struct config", "cpus.more")


def test_a_static_of_several_files_needs_its_file(layout: Layout) -> None:
    with pytest.raises(LayoutError, match=r"twice: is a static of several files \(workers/"):
        layout.variable("twice")
    with pytest.raises(LayoutError, match=r"twice: .* has 2 statics of that name"):
        layout.symbol("twice")

    assert "twice" not in layout.symbols()
    assert layout.dtype_of(layout.variable("twice", "workers/x86/other.c").type).itemsize == 2


def test_globals_are_where_the_machine_will_share_them(layout: Layout) -> None:
    start, end = layout.globals_range

    assert start % 4096 == end % 4096 == 0
    for name in ("sample", "table", "places"):
        symbol = layout.symbol(name)
        assert start <= symbol.address < symbol.address + symbol.size <= end
        assert layout.variable(name).address == symbol.address
    assert not start <= layout.symbol("main").address < end


def test_objects_say_what_the_core_says(core: Core) -> None:
    assert core.objects
    # A thread's own variable is in none of these, so each object is read for itself.
    linked = read_debug_info(replace(core, objects=()))
    for _ in ("read", "kept beside the objects"):
        assert read_debug_info(core) == linked


def test_a_layout_is_read_from_beside_the_core_the_second_time(tmp_path: Path) -> None:
    core, _ = make_core(tmp_path)
    first = Layout.of(core).dtype("struct machine")
    kept = next(core.path.parent.glob("layout-*.msgpack"))
    moved = core.path.rename(tmp_path / "core")

    # Another path to the same folder, so that nothing is remembered; the core itself is away.
    (tmp_path / "again").symlink_to(core.path.parent)
    again = Core(tmp_path / "again" / "core", core.build_id, "", (), "")
    assert Layout.of(again).dtype("struct machine") == first

    kept.write_bytes(kept.read_bytes()[:100])
    moved.rename(core.path)
    (tmp_path / "damaged").symlink_to(core.path.parent)
    damaged = Core(tmp_path / "damaged" / "core", core.build_id, "", (), "")
    assert Layout.of(damaged).dtype("struct machine") == first


def line_of(text: str, mark: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), 1) if f"/* {mark} */" in line)


def test_an_address_has_the_frames_that_were_inlined_into_it(core: Core) -> None:
    symbols = Symbols.of(core)
    outer = Layout.of(core).symbol("outer")
    file = "workers/x86/places.c"

    found = {
        tuple((place.function, place.where()) for place in places)
        for places in map(symbols.places, range(outer.address, outer.address + outer.size))
    }

    inlined = (
        ("deepest", f"{file}:{line_of(PLACES, 'deepest')}"),
        ("middle", f"{file}:{line_of(PLACES, 'middle')}"),
        ("outer", f"{file}:{line_of(PLACES, 'outer')}"),
    )
    assert inlined in found
    assert all(places[-1][0] == "outer" for places in found)


def test_the_lines_of_a_function_are_those_of_its_source(core: Core) -> None:
    function = Layout.of(core).symbol("read_twice")
    start = next(n for n, line in enumerate(TYPES.splitlines(), 1) if "u32 read_twice" in line)

    for address in range(function.address, function.address + function.size):
        (place,) = Symbols.of(core).places(address)
        assert place.function == "read_twice"
        assert place.file == "workers/kernel/types.c"
        assert start <= place.line <= start + 3


def test_lines_kept_beside_an_object_are_those_of_every_core_that_has_it(tmp_path: Path) -> None:
    one, root = make_core(tmp_path)
    before = Layout.of(one).symbol("outer").address
    Symbols.of(one).places(before)
    (root / "workers/kernel/first.c").write_text("int first(int x)\n{\n\treturn 7 * x;\n}\n")
    two = build(Request(), root=root, cache=tmp_path / "cache")

    address = Layout.of(two).symbol("outer").address
    tables = LineTables(two.path)
    unit = tables.unit_at(address)
    assert unit is not None
    (kept,) = tmp_path.glob("cache/objects/*.lines-*")
    moved = msgspec.msgpack.decode(kept.read_bytes(), type=LineTable).moved(tables.spans_of(unit))

    assert address != before
    assert moved == tables.read(unit)
    assert len(Symbols.of(two).places(address)) == len(Symbols.of(one).places(before))


def test_lines_of_other_code_are_not_moved(core: Core) -> None:
    tables = LineTables(core.path)
    unit = tables.unit_at(Layout.of(core).symbol("outer").address)
    assert unit is not None
    ((start, size),) = tables.spans_of(unit)

    assert tables.read(unit).moved(((start, size + 1),)) is None


def test_an_address_outside_of_the_core_has_no_place(core: Core) -> None:
    symbols = Symbols.of(core)

    assert symbols.places(0) == ()
    assert symbols.places(0x1000_0000_0000) == ()
    assert symbols.places(2**64 - 1) == ()
    assert symbols.data_name(0) is None


def test_data_is_named_with_the_offset_into_it(core: Core) -> None:
    table = Layout.of(core).symbol("table").address
    symbols = Symbols.of(core)

    assert symbols.data_name(table) == "table"
    assert symbols.data_name(table + 5) == "table+0x5"
    assert symbols.function_name(Layout.of(core).symbol("outer").address + 1) == "outer+0x1"
