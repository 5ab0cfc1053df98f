"""Data have the names that the program gives them, members and elements included."""

import pytest

from testbed.build import Core, Flavour, Request, build
from testbed.explore.names import Names
from testbed.layout import Layout
from testbed.report.addresses import Addresses
from testbed.symbols import Symbols
from tests.explore.conftest import kept

PROGRAM = """
#include <pthread.h>
#include <stdatomic.h>

struct point { short x, y; };

struct shape {
	int corners;
	struct point at[3];
	union { unsigned long word; int half; };
	struct shape *next;
	pthread_mutex_t lock;
};

static struct shape shapes[2];
static atomic_int counter;
static int matrix[2][3];
static int *where = &matrix[1][2];

int main(void)
{
	shapes[0].next = &shapes[1];
	return counter + *where + shapes[1].corners;
}
"""


@pytest.fixture(scope="module")
def core() -> Core:
    path = kept({"named.c": PROGRAM}) / "named.c"
    return build(Request(Flavour.VIRTUAL, extra=(path,)))


@pytest.fixture
def names(core: Core) -> Names:
    return Names(Layout.of(core), Addresses(Symbols.of(core)))


def address(core: Core, name: str) -> int:
    return Layout.of(core).variable(name).address


@pytest.mark.parametrize(
    ("variable", "offset", "size", "name"),
    [
        ("counter", 0, 4, "counter"),
        ("shapes", 0, 4, "shapes[0].corners"),
        ("shapes", 4, 2, "shapes[0].at[0].x"),
        ("shapes", 10, 2, "shapes[0].at[1].y"),
        ("shapes", 16, 8, "shapes[0].word"),
        ("shapes", 16, 4, "shapes[0].half"),
        ("shapes", 72, 4, "shapes[1].corners"),
        ("shapes", 32, 4, "shapes[0].lock"),
        ("matrix", 20, 4, "matrix[1][2]"),
        ("shapes", 0, 0, "shapes"),
    ],
)
def test_a_datum_has_its_name_of_c(
    core: Core, names: Names, variable: str, offset: int, size: int, name: str
) -> None:
    assert names.name(address(core, variable) + offset, size) == name


def test_values_read_by_their_types(core: Core, names: Names) -> None:
    counter, shapes = address(core, "counter"), address(core, "shapes")

    assert names.value(counter, 4, 2**32 - 1) == "-1"
    assert names.value(counter, 4, 7) == "7"
    assert names.value(shapes + 24, 8, shapes + 72) == "&shapes[1]"
    assert names.value(shapes + 16, 8, 0xDEAD_BEEF_0000) == "0xdeadbeef0000"


def test_a_heap_block_and_a_stack_are_told_by_what_they_are(names: Names) -> None:
    names.allocated(0x5000_0000_0000, 64)

    assert names.name(0x5000_0000_0000) == "object 1"
    assert names.name(0x5000_0000_0008, 8) == "object 1+8"
    assert names.name(0x1300_0001_FFF0).startswith("stack of CPU 1")
