"""Is the code within the limits of its own style, and each language in its own folder?

Each check takes a folder laid out like the project and returns sentences that start with
``file:line``. Each has a twin below that plants what it forbids.
"""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

FOLDERS = ("shm_layout", "workers", "stress", "testbed", "tests", "reports")
C_FILES = (".c", ".h", ".S")

MAX_FUNCTION = 70
MAX_FILE = 500
MAX_COLUMNS = 100
TAB = 8

# Where a language may not go: its folder is that of another one.
FOREIGN = {
    "shm_layout": (".py",),
    "workers": (".py",),
    "testbed": (*C_FILES, ".cpp"),
    "reports": (*C_FILES, ".py"),
}

# What runs on either machine: folders of workers/.
SHARED = ("kernel", "tasks")

COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
INCLUDE = re.compile(r'#\s*include\s+[<"]([^">]+)[">]')
CONDITIONAL = re.compile(r"#\s*(if|ifdef|ifndef|elif|else)\b")
OPERATING_SYSTEM = re.compile(
    r"\b(asm|__asm__|syscall|(?:\w+_)?futex\w*|pthread_\w+|sig(?:action|procmask|altstack|set_t)|"
    r"SIG[A-Z]+|errno|(?:fork|waitpid|mmap|munmap|malloc|free|printf)(?=\s*\())\b"
)


def files(root: Path, *suffixes: str) -> Iterator[Path]:
    """Yield the project's own files with one of these suffixes."""
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in suffixes and path.is_file():
                yield path


def at(root: Path, path: Path, line: int) -> str:
    return f"{path.relative_to(root)}:{line}"


def long_c_functions(root: Path) -> list[str]:
    """A function's body stands between braces in the first column."""
    found = []
    for path in files(root, ".c", ".h"):
        start = 0
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if line == "{":
                start = number
            elif line == "}" and start:
                if number - start - 1 > MAX_FUNCTION:
                    found.append(
                        f"{at(root, path, start)}: a function of {number - start - 1} lines"
                    )
                start = 0
    return found


def long_python_functions(root: Path) -> list[str]:
    found = []
    for path in files(root, ".py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[0]
                if ast.get_docstring(node) is not None and len(node.body) > 1:
                    first = node.body[1]
                size = (node.end_lineno or node.lineno) - first.lineno + 1
                if size > MAX_FUNCTION:
                    found.append(f"{at(root, path, node.lineno)}: a function of {size} lines")
    return found


def long_files(root: Path) -> list[str]:
    return [
        f"{at(root, path, MAX_FILE)}: a file of {size} lines"
        for path in files(root, *C_FILES, ".py")
        if (size := len(path.read_text().splitlines())) > MAX_FILE
    ]


def long_lines(root: Path) -> list[str]:
    return [
        f"{at(root, path, number)}: {width} columns"
        for path in files(root, *C_FILES, ".py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if (width := len(line.expandtabs(TAB))) > MAX_COLUMNS
    ]


def misplaced_languages(root: Path) -> list[str]:
    return [
        f"{at(root, path, 1)}: {path.suffix} does not belong into {folder}/"
        for folder, suffixes in FOREIGN.items()
        for path in sorted((root / folder).rglob("*"))
        if path.suffix in suffixes
    ]


def machine_specific_mechanisms(root: Path) -> list[str]:
    """What runs on either machine includes no system header and calls no system."""
    found = []
    paths = [path for folder in SHARED for path in (root / "workers" / folder).glob("*.[ch]")]
    for path in sorted(paths):
        blank = COMMENT.sub(lambda comment: re.sub(r"[^\n]", " ", comment[0]), path.read_text())
        for number, line in enumerate(blank.splitlines(), 1):
            why = _machine_specific(root, path, line)
            if why:
                found.append(f"{at(root, path, number)}: {why}")
    return found


def _machine_specific(root: Path, path: Path, line: str) -> str:
    include = INCLUDE.search(line)
    if include:
        folders = (root, root / "workers" / "include", root / "workers", path.parent)
        if include[1].startswith(("real/", "virtual/")):
            return f"{include[1]} belongs to one machine"
        if not any((folder / include[1]).is_file() for folder in folders):
            return f"{include[1]} is not of the project"
        return ""
    conditional = CONDITIONAL.match(line)
    guard = re.match(r"#ifndef (KERNEL|TASKS)_\w+_H$", line) if path.suffix == ".h" else None
    if conditional and not guard:
        return f"#{conditional[1]}: the same source runs on both machines"
    system = OPERATING_SYSTEM.search(line)
    return f"{system[1]} belongs to one machine" if system else ""


def modules_without_a_sentence(root: Path) -> list[str]:
    """The first sentence of a module tells its one idea."""
    found = []
    for path in files(root, ".py"):
        docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
        if not docstring.split("\n\n")[0].endswith((".", "?", ":", "!")):
            found.append(f"{at(root, path, 1)}: no docstring that starts with a sentence")
    return found


CHECKS = (
    long_c_functions,
    long_python_functions,
    long_files,
    long_lines,
    misplaced_languages,
    machine_specific_mechanisms,
    modules_without_a_sentence,
)

Check = Callable[[Path], list[str]]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_project_is_tidy(check: Check) -> None:
    found = check(ROOT)

    assert not found, "\n" + "\n".join(found)


LONG_BODY = "\tx++;\n" * (MAX_FUNCTION + 1)

PLANTED: list[tuple[Check, str, str, int]] = [
    (long_c_functions, "workers/kernel/a.c", f"void f(void)\n{{\n{LONG_BODY}}}\n", 2),
    (long_python_functions, "testbed/a.py", "\ndef f():\n" + "    x = 1\n" * 71, 2),
    (long_files, "shm_layout/a.h", "\n" * 501, 500),
    (long_lines, "stress/a.py", "\n" + "x" * 101, 2),
    (long_lines, "workers/x86/a.c", "\t" * 12 + "a + b", 1),
    (misplaced_languages, "workers/real/a.py", "", 1),
    (misplaced_languages, "testbed/deep/a.c", "", 1),
    (machine_specific_mechanisms, "workers/kernel/a.c", "/*\n */\n#include <unistd.h>\n", 3),
    (machine_specific_mechanisms, "workers/kernel/a.c", "#include <real/real.h>\n", 1),
    (machine_specific_mechanisms, "workers/kernel/a.c", "#ifdef VIRTUAL\n", 1),
    (machine_specific_mechanisms, "workers/kernel/a.h", "\n#if 1\n", 2),
    (machine_specific_mechanisms, "workers/tasks/a.c", "#ifdef VIRTUAL\n", 1),
    (machine_specific_mechanisms, "workers/kernel/a.c", 'asm("nop");\n', 1),
    (machine_specific_mechanisms, "workers/kernel/a.c", "\tsys_futex(p);\n", 1),
    (modules_without_a_sentence, "tests/a.py", '"""Helpers"""\n', 1),
    (modules_without_a_sentence, "tests/a.py", "x = 1\n", 1),
]


@pytest.mark.parametrize(("check", "file", "text", "line"), PLANTED)
def test_what_a_check_forbids_is_found_where_it_is(
    tmp_path: Path, check: Check, file: str, text: str, line: int
) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(text)

    assert [found.split(": ")[0] for found in check(tmp_path)] == [f"{file}:{line}"]


def test_a_comment_may_speak_of_what_code_may_not_do(tmp_path: Path) -> None:
    path = tmp_path / "workers" / "kernel" / "a.h"
    path.parent.mkdir(parents=True)
    path.write_text("#ifndef KERNEL_A_H\n#define KERNEL_A_H\n/* no futex, no\n asm */\n#endif\n")

    assert machine_specific_mechanisms(tmp_path) == []
