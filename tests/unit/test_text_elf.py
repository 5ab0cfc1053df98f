"""Whatever a compiled library holds is loaded as it should, or refused with the reason."""

import shutil
import subprocess
from pathlib import Path

import pytest

from testbed.text.elf import read_library
from testbed.text.image import Image, build_image
from testbed.text.model import NAME_SIZE, TEXT_BASE, FunctionFlag
from testbed.text.search import LibraryError, find_library
from testbed.toolchain import find_compiler
from tests.unit.text_native import libc_imports, mapped


def compiled(folder: Path, source: str, *options: str, name: str = "libmade.so") -> Path:
    path = folder / name
    (folder / "made.c").write_text(source)
    done = subprocess.run(
        [find_compiler().path, "-shared", "-fPIC", "-O1", "-fno-builtin", "-nostdlib",
         f"-Wl,-soname,{name}", folder / "made.c", *options, "-o", path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0 and options:
        pytest.skip(f"the linker does not know {options}: {done.stderr}")
    assert done.returncode == 0, done.stderr
    return path


def call(image: Image, name: str, a: int, b: int) -> int:
    with mapped(image) as native:
        return native.call(image.function(name).addr, a, b)


POINTERS = """
static unsigned long one(unsigned long a) { return a + 1; }
static unsigned long two(unsigned long a) { return 2 * a; }
unsigned long three(unsigned long a) { return 3 * a; }
unsigned long (*table[])(unsigned long) = { one, two, three };
static unsigned long counter = 100, zeros[1000];
unsigned long f(unsigned long a, unsigned long b)
{
	zeros[999] += counter++;
	return table[a](b) + zeros[999];
}
"""


@pytest.mark.parametrize("options", [(), ("-Wl,-z,pack-relative-relocs",)])
def test_pointers_in_data_are_relocated_packed_or_not(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    image = build_image(library=str(compiled(tmp_path, POINTERS, *options)), imports={})
    assert [call(image, "f", n, 50) for n in range(3)] == [151, 200, 250]


def test_imports_are_resolved_and_weak_ones_may_be_absent(tmp_path: Path) -> None:
    source = """
    long labs(long); extern int data_of_nobody;
    void nobody(void) __attribute__((weak)); void open_nothing(void);
    unsigned long f(long a, long b) { return labs(a - b) + (nobody ? 1000 : 0); }
    void *g(void) { return &data_of_nobody; }
    void h(void) { open_nothing(); }
    """
    # The linker knows that it is data only if it sees who has it.
    other = compiled(tmp_path, "int data_of_nobody;", name="libother.so")
    path = str(compiled(tmp_path, source, str(other)))
    image = build_image(library=path, imports=libc_imports("labs"))
    assert call(image, "f", 3, 10) == 7
    assert image.missing == ("data_of_nobody", "open_nothing")
    assert call(image, "g", 0, 0) == 0
    with pytest.raises(LibraryError, match=r"^import_missing: .* labs, open_nothing$"):
        build_image(library=path, imports={})


def test_one_address_is_one_function_with_aliases(tmp_path: Path) -> None:
    long_name = "a" * 60
    source = f"""
    unsigned long name_of_it(long a, long b) {{ return a * b; }}
    unsigned long other(long a, long b) __attribute__((alias("name_of_it")));
    unsigned long {long_name}(long a, long b) {{ return a + b; }}
    unsigned long nop5(long a, long b) {{ return a - b; }}
    """
    image = build_image(library=str(compiled(tmp_path, source)), imports={})
    function = image.function("name_of_it")
    assert function == image.function("other")
    assert (function.name, function.aliases) == ("other", ("name_of_it",))
    # What struct text_function has no room for, and what is one of ours already, gets a new name.
    renamed = image.function(long_name)
    assert len(renamed.name) == NAME_SIZE
    assert renamed.name.startswith("aaaa")
    assert call(image, long_name, 2, 3) == 5
    assert image.function("nop5").module == 0
    assert sum(one.name.startswith("nop5@") for one in image.functions) == 1
    assert len({one.name for one in image.functions}) == len(image.functions)


DATA_IN_CODE = """
__asm__(".text\\n.globl mixed\\n.type mixed,@function\\n"
	"mixed: lea (%rdi,%rsi), %rax\\nret\\n.byte 6,6,6\\nnop\\n.size mixed, .-mixed");
unsigned long plain(long a, long b) { return a * 3 + b; }
"""


def test_data_inside_of_a_function_is_recorded_and_never_a_boundary(tmp_path: Path) -> None:
    image = build_image(library=str(compiled(tmp_path, DATA_IN_CODE)), imports={})
    mixed = image.function("mixed")
    assert image.boundaries(mixed) == [0, 4]
    assert mixed.flags & FunctionFlag.NOPROBE
    # Beside the assembled functions that say so themselves.
    own = build_image(library=None, imports={}).noprobe
    assert sorted(image.noprobe) == sorted([*own, "mixed"])
    start = mixed.addr - TEXT_BASE
    assert [(one.start - start, one.end - start) for one in image.undecoded] == [(5, mixed.size)]
    assert not image.function("plain").flags & FunctionFlag.NOPROBE


INDIRECT = """
static int one(void) { return 1; }
static void *pick(void) { return one; }
int f(void) __attribute__((ifunc("pick")));
int g(void) { return f(); }
"""

REFUSED = {
    "needs thread-local storage": (
        "__thread int x; int f(void) { return x++; }",
        (),
    ),
    "needs functions that choose themselves": (
        INDIRECT,
        (),
    ),
    "has addresses inside of code": (
        '__asm__(".text\\nmovabs $x, %rax\\n.data\\n.globl x\\nx: .quad 1");',
        ("-Wl,-z,notext",),
    ),
    "writable and executable": ("int f(void) { return 1; }", ("-Wl,--omagic",)),
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_library_that_cannot_be_text_is_refused_with_the_reason(
    tmp_path: Path, why: str
) -> None:
    source, options = REFUSED[why]
    path = compiled(tmp_path, source, *options)
    with pytest.raises(LibraryError, match=why):
        build_image(library=str(path), imports={})


def test_a_file_that_is_no_library_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "libtext.so"
    text.write_text("not a library")
    with pytest.raises(LibraryError, match="cannot be read as a shared library"):
        read_library(text)
    shell = Path(shutil.which("sh") or "/bin/sh").read_bytes()
    cut = tmp_path / "libcut.so"
    cut.write_bytes(shell[:100])
    with pytest.raises(LibraryError, match=str(cut)):
        read_library(cut)
    with pytest.raises(LibraryError, match="no such library"):
        find_library("./libnone.so")


def test_a_soname_that_nobody_has_is_told_with_where_it_was_looked_for() -> None:
    with pytest.raises(LibraryError, match=r"^libnone\.so\.9: no such library \(looked in "):
        build_image(library="libnone.so.9", imports={})


def test_the_search_path_of_the_loader_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_library("libz.so.1").parent != tmp_path
    made = compiled(tmp_path, POINTERS, name="libz.so.1")
    monkeypatch.setenv("LD_LIBRARY_PATH", f"/nowhere:{tmp_path}")
    assert find_library("libz.so.1") == made
    assert build_image(imports={}).library == made
