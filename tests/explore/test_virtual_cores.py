"""Cores of the explorer: what is linked, instrumented, and part of a core's identity."""

import subprocess
from pathlib import Path

import pytest

from testbed.build import Core, Flavour, Request, build
from testbed.cache import Cache
from testbed.explore.story import KERNEL
from testbed.joined import declared
from testbed.layout import Layout
from testbed.paths import project_root
from testbed.sources import Source, SourceTree
from testbed.toolchain import FOR_CLANG, INSTRUMENTED, SEEN_CALLS, Compiler
from tests.explore.conftest import Explore

PROGRAM = """
#include <string.h>

int from[64], to[64], answer = ANSWER;

int main(void)
{
	memcpy(to, from, sizeof(to));
	return answer - ANSWER;
}
"""

TASKS = """
#include <explore.h>

static u64 word;

TASK(0, only) { WRITE_ONCE(word, 1); }
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.c"
    path.write_text(PROGRAM)
    return path


def built(path: Path, *defines: str) -> Core:
    return build(Request(Flavour.VIRTUAL, extra=(path,), defines=defines))


def calls_of(core: Core, function: str) -> str:
    """Return the disassembly of a function."""
    done = subprocess.run(
        ["objdump", "-d", f"--disassemble={function}", "--no-show-raw-insn", core.path],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def test_macros_are_part_of_what_a_core_is(program: Path) -> None:
    one, two, again = built(program, "ANSWER=1"), built(program, "ANSWER=2"), built(
        program, "ANSWER=1"
    )

    assert one.build_id != two.build_id
    assert one == again
    assert one.warnings == ""


def test_a_program_with_threads_is_linked_without_a_kernel(program: Path) -> None:
    assert KERNEL not in Layout.of(built(program, "ANSWER=1")).symbols()


def test_tasks_are_linked_with_the_kernel(tmp_path: Path) -> None:
    path = tmp_path / "tasks.c"
    path.write_text(TASKS)

    symbols = Layout.of(built(path)).symbols()
    assert {KERNEL, "mutex_lock", "synchronize_rcu"} <= set(symbols)


def test_accesses_and_calls_of_libc_are_seen(program: Path) -> None:
    code = calls_of(built(program, "ANSWER=1"), "explored_main")

    assert "call" in code
    assert "<__tsan_read4>" in code
    assert "<__wrap_memcpy>" in code
    assert "<__tsan_func_entry>" not in code


def test_the_engine_itself_is_not_instrumented(program: Path) -> None:
    assert "tsan" not in calls_of(built(program, "ANSWER=1"), "engine_run")


def test_functions_of_libc_are_wrapped_as_the_engine_defines_them() -> None:
    tree = SourceTree(project_root(), "virtual", mechanisms=False)
    wrapped = tree.wrapped(tree.core_sources())

    assert {"malloc", "free", "memcpy"} <= set(wrapped)
    assert wrapped == sorted(set(wrapped))


def test_a_file_that_wraps_nothing_adds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.c"
    path.write_text("int wrap_x, __wrapped;\n")

    assert SourceTree(tmp_path, "virtual").wrapped([Source(path, "x.c")]) == []


def test_clang_gets_its_own_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Compiler, "is_clang", lambda _self: True)
    spelled = Compiler(Path("clang"), "clang").spelled([*SEEN_CALLS, *INSTRUMENTED])

    assert not set(spelled) & set(FOR_CLANG)
    assert "-fsanitize=thread" in spelled
    assert spelled.count("-mllvm") == 2


# Every global of it has a name that the engine has as well.
SAME_NAMES = """
#include <assert.h>
#include <pthread.h>

int engine, program[4], threads, made, shadow, fibers = 1;
static pthread_t thread;

int committed(int value)
{
	return value + fibers;
}

static void *other(void *unused)
{
	__atomic_store_n(&engine, committed(threads), __ATOMIC_SEQ_CST);
	return unused;
}

int main(void)
{
	pthread_create(&thread, NULL, other, NULL);
	made = __atomic_load_n(&engine, __ATOMIC_SEQ_CST);
	pthread_join(thread, NULL);
	assert(made == 1);
	return shadow + program[0];
}
"""


def test_a_program_may_use_the_names_of_the_engine(tmp_path: Path, explore: Explore) -> None:
    path = tmp_path / "same_names.c"
    path.write_text(SAME_NAMES)

    explored = explore(path)

    # Its own data and function, not the engine's: the thread may come too late.
    assert explored.finding.title.startswith("claim: main()")
    assert any(step.text == "reads engine = 0" for step in explored.story.steps)


def test_only_what_somebody_asks_for_is_visible_of_the_engine(program: Path) -> None:
    found = Layout.of(built(program, "ANSWER=1")).all_symbols()
    visible = {name for name, symbol in found if symbol.external}

    assert {"pthread_create", "__wrap_memcpy", "__tsan_read4", "__VERIFIER_assume"} <= visible
    assert not {"engine", "engine_run", "program", "threads", "replay_job"} & visible
    assert {"engine", "engine_run"} <= {name for name, _ in found}


def test_what_headers_declare_is_found_in_their_text() -> None:
    header = b"""
    /* nothing(here) */ extern struct cpu *this_one; // nor(here);
    extern const int table[4];
    void function(int parameter);
    struct row { int field; };
    """

    assert declared([header]) == {"this_one", "table", "function"}


def test_without_the_tool_the_engine_is_linked_as_it_is(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined = built(program, "ANSWER=1")
    monkeypatch.setattr("testbed.build.find_objcopy", lambda: None)
    plain = built(program, "ANSWER=1")

    assert plain.build_id != joined.build_id
    assert Layout.of(plain).symbols()["engine_run"].external


def test_the_engine_tells_its_own_code_by_two_addresses(program: Path) -> None:
    found = Layout.of(built(program, "ANSWER=1")).symbols()
    first, last = found["machine_text_first"].address, found["machine_text_last"].address

    for name in ("engine_run", "race_load", "pthread_create", "__tsan_read4"):
        assert first < found[name].address < last, name
    assert not first <= found["explored_main"].address <= last


def test_of_a_new_program_that_file_only_is_compiled(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built(program, "ANSWER=1")
    made: list[str] = []
    keep = Cache.keep

    def counted(cache: Cache, key: str, file: Path, warnings: str) -> None:
        made.append(key)
        keep(cache, key, file, warnings)

    monkeypatch.setattr(Cache, "keep", counted)
    program.write_text(f"{PROGRAM}\n/* {program} */\n")

    built(program, "ANSWER=1")

    assert len(made) == 1
