"""The builder: what it builds again and what not, and what it says when it cannot.

Most tests build a small core of their own, whose compiler is the real one behind a script that
writes down every call.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from testbed.build import FEW, Core, Request, build
from testbed.cli import builds_told
from testbed.debug_info import read_debug_info
from testbed.dwarf import unit_file
from testbed.errors import BuildError, PatchError
from testbed.paths import project_root
from testbed.toolchain import find_compiler

SOURCES = {
    "workers/kernel/twice.h": "int twice(int x);\n",
    "workers/kernel/twice.c": "#include <kernel/twice.h>\n\nint twice(int x)\n{\n"
    "\treturn 2 * x;\n}\n",
    "workers/kernel/other.c": "#include <shm_layout/types.h>\nu64 other;\n",
    "workers/tasks/run.c": "int run_of_tasks;\n",
    "workers/x86/step.S": "\t.globl step\n\t.type step, @function\nstep:\n\tret\n"
    "\t.size step, . - step\n\t.section .note.GNU-stack\n",
    "workers/real/main.c": "#include <kernel/twice.h>\n#include <stdlib.h>\n\n"
    "int main(int argc, char **argv)\n{\n\treturn twice(atoi(argv[1]));\n}\n",
    "stress/task.c": "#include <kernel/twice.h>\n\nint task(void)\n{\n\treturn twice(4);\n}\n",
}

PATCH = """\
--- a/workers/kernel/twice.c
+++ b/workers/kernel/twice.c
@@ -2,5 +2,5 @@

 int twice(int x)
 {
-\treturn 2 * x;
+\treturn 3 * x;
 }
"""


@dataclass
class Project:
    """A checkout of its own, its cache, and what its compiler was called for."""

    root: Path
    cache: Path
    log: Path

    def build(self, *extra: Path, patches: tuple[Path, ...] = ()) -> Core:
        return build(Request(patches=patches, extra=extra), root=self.root, cache=self.cache)

    def compiled(self) -> list[str]:
        """Return the names of the files compiled since the last call, "link" for linking."""
        calls = self.log.read_text().split("\n")[:-1] if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return sorted(call for call in calls if call)

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    # A space in every path: nothing may take it for a separator.
    made = Project(tmp_path / "a project", tmp_path / "a cache", tmp_path / "calls")
    shutil.copytree(project_root() / "shm_layout", made.root / "shm_layout")
    shutil.copytree(project_root() / "workers" / "include", made.root / "workers" / "include")
    for name, text in SOURCES.items():
        made.write(name, text)
    compiler = tmp_path / "cc"
    compiler.write_text(
        "#!/bin/sh\n"
        "what=link\n"
        'for word do case "$word" in\n'
        "    --version|-dM) what= ;;\n"
        "    -c) what=next ;;\n"
        '    *) [ "$what" = next ] && what=$word ;;\n'
        "esac; done\n"
        f'[ -n "$what" ] && echo "$what" >> "{made.log}"\n'
        f'exec {find_compiler().path} "$@"\n'
    )
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    return made


def run(core: Core, number: int) -> int:
    return subprocess.run([core.path, str(number)], check=False).returncode


EVERYTHING = sorted(
    ["link", "shm_layout/layout.c", "workers/kernel/other.c", "workers/kernel/twice.c",
     "workers/real/main.c", "workers/tasks/run.c", "workers/x86/step.S"]
)  # fmt: skip


def test_the_stock_core_builds_without_a_warning() -> None:
    core = build()

    assert core.warnings == ""
    assert "workers/real/main.c" in core.sources
    assert os.access(core.path, os.X_OK)


def test_a_second_build_runs_no_compiler_and_is_quick(project: Project) -> None:
    first = project.build()
    assert project.compiled() == EVERYTHING

    start = time.monotonic()
    second = project.build()

    assert second == first
    assert project.compiled() == []
    assert time.monotonic() - start < 0.5, "50 ms is the aim; much more is another way of building"
    assert run(second, 4) == 8


def test_a_build_that_takes_a_while_says_so_once_and_others_say_nothing(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    def said() -> str:
        with builds_told():
            project.build()
        printed = capsys.readouterr()
        assert printed.out == ""
        return printed.err

    assert said() == "", "it has few files"
    for number in range(FEW + 1):
        project.write(f"workers/kernel/more{number}.c", f"int more{number};\n")
    assert said() == f"compiling {FEW + 1} C files, to be kept in {project.cache}\n"
    assert said() == ""


def test_a_build_that_the_user_stops_is_no_error_of_the_sources(
    project: Project, tmp_path: Path
) -> None:
    compiler = tmp_path / "cc"
    right = compiler.read_text()
    compiler.write_text(right.replace("exec", 'case "$what" in *.c) kill -INT $PPID;; esac\nexec'))
    with pytest.raises(KeyboardInterrupt):
        project.build()

    compiler.write_text(right)
    assert run(project.build(), 4) == 8


def test_editing_a_file_compiles_that_file_only(project: Project) -> None:
    before = project.build()
    project.compiled()
    project.write("workers/kernel/twice.c", SOURCES["workers/kernel/twice.c"].replace("2", "5"))

    after = project.build()

    assert project.compiled() == ["link", "workers/kernel/twice.c"]
    assert (run(before, 3), run(after, 3)) == (6, 15)


def test_editing_a_header_compiles_what_includes_it_however_deep(project: Project) -> None:
    project.write("workers/kernel/deep.h", "enum { DEEP = 1 };\n")
    project.write("workers/kernel/twice.h", '#include "deep.h"\nint twice(int x);\n')
    project.build()
    project.compiled()

    project.write("workers/kernel/deep.h", "enum { DEEP = 2 };\n")
    project.build()

    assert project.compiled() == ["link", "workers/kernel/twice.c", "workers/real/main.c"]


def test_a_new_file_belongs_to_the_core(project: Project) -> None:
    before = project.build()
    project.write("workers/kernel/new.c", "int new_one;\n")

    after = project.build()

    assert after.build_id != before.build_id
    assert "workers/kernel/new.c" in after.sources


def test_a_file_in_a_folder_whose_name_begins_like_the_project_keeps_its_name(
    project: Project,
) -> None:
    own = Path(f"{project.root}-mine")
    own.mkdir()
    (own / "mine.c").write_text("int of_mine = 3;\n")

    core = project.build(own / "mine.c")

    with core.path.open("rb") as file:
        files = [unit_file(unit) for unit in ELFFile(file).get_dwarf_info().iter_CUs()]
    assert str(own / "mine.c") in files
    assert read_debug_info(core).variables["of_mine"][0].file == str(own / "mine.c")


def test_a_patch_builds_a_mutant_and_leaves_the_checkout_alone(
    project: Project, tmp_path: Path
) -> None:
    stock = project.build()
    project.compiled()
    patch = tmp_path / "bug.patch"
    patch.write_text(PATCH)

    mutant = project.build(patches=(patch,))

    assert project.compiled() == ["link", "workers/kernel/twice.c"]
    assert (run(stock, 4), run(mutant, 4)) == (8, 12)
    assert "2 * x" in (project.root / "workers/kernel/twice.c").read_text()
    assert mutant.source("workers/kernel/twice.c") == [
        "#include <kernel/twice.h>", "", "int twice(int x)", "{", "\treturn 3 * x;", "}",
    ]  # fmt: skip


def test_a_patched_extra_file_is_taken_from_the_copy(project: Project, tmp_path: Path) -> None:
    patch = tmp_path / "bug.patch"
    patch.write_text(
        "--- a/stress/task.c\n+++ b/stress/task.c\n@@ -4,3 +4,3 @@ int task(void)\n {\n"
        "-\treturn twice(4);\n+\treturn twice(5);\n }\n"
    )

    mutant = project.build(project.root / "stress" / "task.c", patches=(patch,))

    assert mutant.source("stress/task.c") == [
        "#include <kernel/twice.h>", "", "int task(void)", "{", "\treturn twice(5);", "}",
    ]  # fmt: skip


def test_a_patch_makes_and_removes_files_too(project: Project, tmp_path: Path) -> None:
    (project.root / "workers/kernel/spare.c").write_text("int spare;\n")
    patch = tmp_path / "files.patch"
    patch.write_text(
        "--- /dev/null\n+++ b/workers/kernel/new.c\n@@ -0,0 +1 @@\n+int new_one;\n"
        "--- a/workers/kernel/spare.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-int spare;\n"
    )

    sources = project.build(patches=(patch,)).sources

    assert "workers/kernel/new.c" in sources
    assert "workers/kernel/spare.c" not in sources
    assert (project.root / "workers/kernel/spare.c").exists()
    assert not (project.root / "workers/kernel/new.c").exists()


def test_a_file_above_that_would_not_be_the_patched_one_is_told(
    project: Project, tmp_path: Path
) -> None:
    patch = tmp_path / "bug.patch"
    patch.write_text(PATCH)
    project.write("workers/real/above.c", '#include "../kernel/twice.c"\n')

    with pytest.raises(BuildError, match=r'includes "../kernel/twice.c", which is not the patched'):
        project.build(patches=(patch,))


def test_a_patch_that_does_not_apply_says_which_and_why(project: Project, tmp_path: Path) -> None:
    patch = tmp_path / "stale.patch"
    patch.write_text(PATCH.replace("2 * x", "7 * x"))

    with pytest.raises(PatchError) as caught:
        project.build(patches=(patch,))

    assert str(caught.value).startswith(f"{patch}: does not apply to the sources")
    assert "workers/kernel/twice.c" in caught.value.output


def test_a_patch_that_is_not_there_is_named(project: Project, tmp_path: Path) -> None:
    with pytest.raises(PatchError, match=r"nowhere\.patch: no such patch"):
        project.build(patches=(tmp_path / "nowhere.patch",))


def test_without_git_patches_are_applied_by_patch(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("patch", "mv", "as", "ld"):
        found = shutil.which(name)
        if found is None:
            pytest.skip(f"no {name} on this system")
        (tools / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(tools))
    patch = tmp_path / "bug.patch"
    patch.write_text(PATCH)

    assert run(project.build(patches=(patch,)), 4) == 12
    patch.write_text(PATCH.replace("2 * x", "7 * x"))
    with pytest.raises(PatchError, match="does not apply"):
        project.build(patches=(patch,))


def test_an_extra_file_includes_its_neighbour_and_the_vocabulary(
    project: Project, tmp_path: Path
) -> None:
    own = tmp_path / "my tasks"
    own.mkdir()
    (own / "mine.h").write_text("#define MINE 1\n")
    (own / "mine.c").write_text(
        '#include "mine.h"\n#include <compiler.h>\n#include <kernel/twice.h>\n'
        "u64 mine(void)\n{\n\treturn twice(MINE);\n}\n"
    )

    core = project.build(own / "mine.c")
    assert core.sources[-1] == str(own / "mine.c")
    project.compiled()

    (own / "mine.h").write_text("#define MINE 2\n")
    project.build(own / "mine.c")
    assert project.compiled() == sorted(["link", str(own / "mine.c")])


def test_errors_of_a_file_are_shown_as_the_compiler_wrote_them(
    project: Project, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.c"
    wrong.write_text("int f(void)\n{\n\treturn nothing;\n}\n")

    with pytest.raises(BuildError) as caught:
        project.build(wrong)

    assert str(caught.value).startswith(f"{wrong}: does not compile\n")
    assert f"{wrong}:3:16: error: " in caught.value.output
    assert "FAILED" not in caught.value.output
    wrong.write_text("int f(void)\n{\n\treturn 1;\n}\n")
    project.build(wrong)


def test_what_the_linker_misses_is_shown(project: Project, tmp_path: Path) -> None:
    lonely = tmp_path / "lonely.c"
    lonely.write_text("int absent(void);\n\nint f(void)\n{\n\treturn absent();\n}\n")

    with pytest.raises(BuildError, match="the core does not link") as caught:
        project.build(lonely)

    assert "undefined reference to `absent'" in caught.value.output


def test_warnings_come_with_the_core_from_the_cache_too(project: Project, tmp_path: Path) -> None:
    sloppy = tmp_path / "sloppy.c"
    sloppy.write_text("int f(int x)\n{\n\tint unused;\n\treturn x;\n}\n")

    assert "unused variable" in project.build(sloppy).warnings
    assert "unused variable" in project.build(sloppy).warnings


def test_an_include_that_the_key_would_not_cover_is_refused(
    project: Project, tmp_path: Path
) -> None:
    (tmp_path / "hidden.h").write_text("int hidden;\n")
    sly = tmp_path / "sly.c"
    sly.write_text('#define NAME "hidden.h"\n#include NAME\n')

    for _ in range(2):
        with pytest.raises(BuildError, match=r"sly\.c: includes .*hidden\.h in a way"):
            project.build(sly)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("absent.c", "absent.c: no such C file"), ("task.py", "task.py: a task's file ends in .c")],
)
def test_an_extra_file_that_cannot_be_one_is_named(
    project: Project, tmp_path: Path, name: str, sentence: str
) -> None:
    (tmp_path / "task.py").write_text("")

    with pytest.raises(BuildError, match=sentence):
        project.build(tmp_path / name)


def test_without_a_compiler_the_package_to_install_is_named(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CC")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))

    with pytest.raises(BuildError) as caught:
        project.build()

    assert str(caught.value) == (
        "no C compiler found (looked for cc, gcc, clang): install one, for example: apt install gcc"
    )


def test_a_cache_that_cannot_be_written_says_so(project: Project) -> None:
    project.cache.write_text("a file where the folder should be")

    with pytest.raises(BuildError, match=r"a cache: .*: set XDG_CACHE_HOME to a folder"):
        project.build()


BUILD_ELSEWHERE = """\
import sys
from pathlib import Path
from testbed.build import build
print(build(root=Path(sys.argv[1]), cache=Path(sys.argv[2])).build_id)
"""


def start_build(project: Project) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", BUILD_ELSEWHERE, project.root, project.cache],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=Path(__file__).parents[2],
    )


def test_several_processes_build_a_core_once(project: Project) -> None:
    builders = [start_build(project) for _ in range(4)]

    answers = {builder.communicate(timeout=60)[0] for builder in builders}

    assert [builder.returncode for builder in builders] == [0] * 4
    assert len(answers) == 1
    assert project.compiled() == EVERYTHING


def test_a_builder_that_was_killed_leaves_a_cache_that_works(project: Project) -> None:
    builder = start_build(project)
    while not project.log.exists():
        time.sleep(0.005)
    os.killpg(builder.pid, signal.SIGKILL)
    builder.communicate()

    assert run(project.build(), 4) == 8


def test_a_file_saved_while_it_is_compiled_is_compiled_again(project: Project) -> None:
    # The compiler reads what an editor saved after the key was made.
    compiler = Path(os.environ["CC"])
    twice = project.root / "workers" / "kernel" / "twice.c"
    stock = twice.read_text()
    edited = project.write("edited.c", stock.replace("2", "5"))
    script = compiler.read_text().replace(
        "exec ", f'[ -f "{edited}" ] && mv "{edited}" "{twice}"\nexec '
    )
    compiler.write_text(script)

    assert run(project.build(), 4) == 20
    twice.write_text(stock)
    assert run(project.build(), 4) == 8
