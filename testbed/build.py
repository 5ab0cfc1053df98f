"""The one builder: C sources, patches and a user's files in, a core out, from a cache if it can.

A core is the executable that a machine runs: the stock sources, or a patched copy of them, plus a
user's own C files. Objects and cores are named by a hash of all that went into them, so the cache
needs no invalidation, and a second build runs no compiler.
"""

import logging
import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from testbed.cache import Cache, Core, Record
from testbed.errors import BuildError
from testbed.joined import declared, find_objcopy, identity, join, visible
from testbed.patches import copy_with_patches
from testbed.paths import cache_folder, project_root
from testbed.sources import BASED_ON, Source, SourceTree, digest
from testbed.toolchain import (
    COMMON_FLAGS,
    ENGINE,
    INSTRUMENTED,
    LINK_FLAGS,
    NO_VECTORS,
    NO_VECTORS_GCC,
    SEEN_CALLS,
    Compiler,
    find_compiler,
    find_ninja,
)

__all__ = ["Core", "Flavour", "Request", "build"]


class Flavour(Enum):
    """Which machine the mechanisms are linked with; the value is its folder in ``workers``."""

    REAL = "real"
    VIRTUAL = "virtual"
    GATED = "gated"


# Whose explored code is compiled with hooks before each access.
HOOKED = (Flavour.VIRTUAL.value, Flavour.GATED.value)


@dataclass(frozen=True)
class Request:
    """What to build.

    Attributes:
        flavour: the machine to link with.
        patches: unified diffs (``-p1``), applied in order to a copy of the sources.
        extra: a user's C files; they may include what lies beside them and the vocabulary.
        defines: macros of the user's files, ``NAME`` or ``NAME=VALUE``.
    """

    flavour: Flavour = Flavour.REAL
    patches: tuple[Path, ...] = ()
    extra: tuple[Path, ...] = ()
    defines: tuple[str, ...] = ()


STOCK = Request()

# Whoever wants to know that a build takes a while listens to this.
LOG = logging.getLogger(__name__)

# So many files are compiled in a second or two.
FEW = 8

# What ninja says when it was told to stop; as an exit status only its newer versions tell it.
INTERRUPTED = "interrupted by user"

# An editor may save a file while it is compiled: then all of it is done again.
ATTEMPTS = 5


@dataclass(frozen=True)
class _Unit:
    """One source with its flags; `key` names the object."""

    source: Source
    flags: tuple[str, ...]
    key: str


@dataclass(frozen=True)
class _Engine:
    """Objects that are linked as one, see `testbed.joined`.

    Attributes:
        own: the units of which it is made.
        others: the rest of the stock core.
        key: names the object.
        objcopy: makes it.
    """

    own: tuple[_Unit, ...]
    others: tuple[_Unit, ...]
    key: str
    objcopy: Path


@dataclass(frozen=True)
class _Job:
    """One build: the sources where they are, what to make of them, and where."""

    tree: SourceTree
    units: tuple[_Unit, ...]
    link_flags: tuple[str, ...]
    compiler: Compiler
    cache: Cache
    engine: "_Engine | None" = None


def build(request: Request = STOCK, *, root: Path | None = None, cache: Path | None = None) -> Core:
    """Return the core that `request` describes, built if it is not in the cache.

    Args:
        request: flavour, patches and extra files.
        root: the folder of the sources; the project's own by default.
        cache: the cache folder; `testbed.paths.cache_folder()` by default.

    Raises:
        PatchError: a patch does not apply.
        BuildError: no compiler, the compiler's own errors, or a cache that cannot be written.
    """
    checkout = (root or project_root()).resolve()
    kept = Cache(cache or cache_folder())
    compiler = find_compiler()
    for _ in range(ATTEMPTS):
        with _source_tree(request, checkout) as tree:
            extra = tree.extra_sources(request.extra, checkout)
            if request.flavour is Flavour.VIRTUAL:
                tree.mechanisms = tree.use_mechanisms(extra)
            units = _plan(tree, extra, request.defines, compiler)
            engine = _engine(tree, units[: len(units) - len(extra)], compiler)
            flags = _link_flags(tree, units)
            core = _find_or_make(_Job(tree, units, flags, compiler, kept, engine))
            if core is not None:
                return core
    raise BuildError(f"{checkout}: the sources change while they are built: wait, and build again")


def _find_or_make(job: _Job) -> Core | None:
    """Return the core; None if a source changed meanwhile."""
    joined = (job.engine.key,) if job.engine else ()
    build_id = digest(*job.link_flags, *joined, *(unit.key for unit in job.units))
    try:
        core = job.cache.core(build_id)
        if core is None:
            with job.cache.lock(build_id):
                core = job.cache.core(build_id) or _make(job, build_id)
    except OSError as error:
        raise BuildError(
            f"cache folder {job.cache.folder}: {error.strerror or error}: "
            "set XDG_CACHE_HOME to a folder that can be written"
        ) from error
    return core


@contextmanager
def _source_tree(request: Request, checkout: Path) -> Iterator[SourceTree]:
    if not request.patches:
        yield SourceTree(checkout, request.flavour.value)
        return
    with tempfile.TemporaryDirectory(prefix="testbed-patched-") as folder:
        copy = Path(folder).resolve()
        try:
            copy_with_patches(checkout, request.patches, copy)
        except OSError as error:
            raise BuildError(f"{folder}: the sources cannot be copied here: {error}") from error
        yield SourceTree(copy, request.flavour.value)


def _plan(
    tree: SourceTree, extra: Sequence[Source], defines: Sequence[str], compiler: Compiler
) -> tuple[_Unit, ...]:
    planned = [(source, _flags(source, tree.machine)) for source in tree.core_sources()]
    planned += [(source, _user_flags(tree.machine, defines)) for source in extra]
    made_by: dict[tuple[str, ...], str] = {}
    units = []
    for source, flags in planned:
        if flags not in made_by:
            made_by[flags] = digest(compiler.identity, *flags)
        units.append(_Unit(source, flags, digest(made_by[flags], tree.content_key(source))))
    return tuple(units)


# Writes down what a finding is while nothing else happens: nobody is to come in between.
NOT_INSTRUMENTED = ("workers/kernel/finding.c",)


def _flags(source: Source, machine: str) -> tuple[str, ...]:
    """Return the flags for where `source` is: only the machine itself may use all of libc."""
    folder, virtual = os.path.dirname(source.name), machine == Flavour.VIRTUAL.value
    machines = (machine, BASED_ON.get(machine, machine))
    if folder == "shm_layout":
        return (*COMMON_FLAGS, "-fno-eliminate-unused-debug-types")
    if f"{folder}/".startswith(tuple(f"workers/{one}/" for one in machines)):
        alone = virtual and os.path.basename(source.name) != "main.c"
        return (*COMMON_FLAGS, *ENGINE) if alone else COMMON_FLAGS
    plain = (*COMMON_FLAGS, *NO_VECTORS, *NO_VECTORS_GCC)
    hooked = machine in HOOKED and source.name not in NOT_INSTRUMENTED
    return (*plain, *INSTRUMENTED) if hooked else plain


def _user_flags(machine: str, defines: Sequence[str]) -> tuple[str, ...]:
    """Return the flags for a user's own file."""
    macros = tuple(f"-D{define}" for define in defines)
    if machine not in HOOKED:
        return (*COMMON_FLAGS, *NO_VECTORS, *NO_VECTORS_GCC, *macros)
    return (*COMMON_FLAGS, *SEEN_CALLS, *INSTRUMENTED, "-Dmain=explored_main", *macros)


def _link_flags(tree: SourceTree, units: Sequence[_Unit]) -> tuple[str, ...]:
    """Return the flags of the linker: functions of libc that the machine has its own of."""
    folder = f"workers/{tree.machine}/"
    own = [unit.source for unit in units if unit.source.name.startswith(folder)]
    return (*LINK_FLAGS, *(f"-Wl,--wrap={name}" for name in tree.wrapped(own)))


def _engine(tree: SourceTree, units: tuple[_Unit, ...], compiler: Compiler) -> _Engine | None:
    """Return what of the stock core is joined; None: nothing, or nothing can be."""
    objcopy = find_objcopy()
    if tree.machine != Flavour.VIRTUAL.value or objcopy is None:
        return None
    folder = f"workers/{tree.machine}/"
    own = tuple(unit for unit in units if unit.source.name.startswith(folder))
    others = tuple(unit for unit in units if not unit.source.name.startswith(folder))
    parts = [compiler.identity, identity(objcopy), *(unit.key for unit in units)]
    key = digest("joined", *parts, tree.vocabulary_key())
    return _Engine(own, others, key, objcopy)


def _make(job: _Job, build_id: str) -> Core | None:
    """Compile what is missing, link, and put the core into the cache; its lock is held.

    None: a source was changed after its key was made, so nothing of this is to be kept.
    """
    engine = job.engine
    with job.cache.workplace() as work:
        if engine is not None and not job.cache.object(engine.key).exists():
            if not _run_ninja(job, job.units, work):
                return None
            objects = [job.cache.object(unit.key) for unit in engine.own]
            others = [job.cache.object(unit.key) for unit in engine.others]
            promised = declared(job.tree.vocabulary().values())
            names = visible(objects, others, promised, job.compiler)
            join(objects, names, work / "joined.o", job.compiler, engine.objcopy)
            job.cache.keep(engine.key, work / "joined.o", "")
        units = _apart(job)
        if not _run_ninja(job, units, work, link=True):
            return None
        warnings = "".join(job.cache.warnings(unit.key) for unit in job.units)
        names_of = tuple(unit.source.name for unit in job.units)
        own = engine.own if engine is not None else ()
        linked = tuple((unit.source.name, unit.key) for unit in (*own, *units))
        record = Record(job.compiler.version(), names_of, warnings, linked)
        texts = job.tree.texts([unit.source for unit in job.units])
        core = job.cache.publish(work / "result", build_id, record, texts)
    job.cache.prune()
    return core


def _run_ninja(job: _Job, units: Sequence[_Unit], work: Path, *, link: bool = False) -> bool:
    """Compile those of `units` that are missing, then link if that is wanted.

    False: a source was changed meanwhile.

    Raises:
        KeyboardInterrupt: the user stopped it; this process may not have been told.
    """
    missing = _missing(job, units)
    if len(missing) <= FEW:
        return _compile(job, missing, work, link)
    LOG.info("compiling %d C files, to be kept in %s", len(missing), job.cache.folder)
    # Whoever else is about to compile as many will find most of them here.
    with job.cache.lock("many"):
        return _compile(job, _missing(job, units), work, link)


def _missing(job: _Job, units: Sequence[_Unit]) -> list[_Unit]:
    return [unit for unit in units if not job.cache.object(unit.key).exists()]


def _compile(job: _Job, missing: Sequence[_Unit], work: Path, link: bool) -> bool:
    _write_ninja_file(job, missing, work, link=link)
    done = subprocess.run(
        [find_ninja(), "--quiet", "-k", "0", "-C", job.tree.root, "-f", work / "build.ninja"],
        check=False,
        env=os.environ | {"PWD": str(job.tree.root), "LC_ALL": "C"},
        capture_output=True,
        text=True,
    )
    if done.returncode and INTERRUPTED in done.stdout + done.stderr:
        raise KeyboardInterrupt
    if job.tree.changed():
        return False
    # Whatever did compile is kept, even if another file did not.
    made = [unit for unit in missing if _object(work, unit).exists()]
    for unit in made:
        _check_includes(job, unit, work)
        job.cache.keep(unit.key, _object(work, unit), _text(work / f"{unit.key}.log"))
    if done.returncode != 0:
        failed = [unit for unit in missing if unit not in made]
        raise _failure(failed, work, done.stdout + done.stderr)
    return True


def _write_ninja_file(job: _Job, missing: Sequence[_Unit], work: Path, *, link: bool) -> None:
    lines = [f"builddir = {_ninja_path(work)}", "rule run", "  command = $cmd"]
    for unit in missing:
        command = _compile_command(job, unit, work)
        lines += _statement(_object(work, unit), [unit.source.path], command, work, unit.key)
    if link:
        keys = {unit.key for unit in missing}
        objects = [
            work / f"{key}.o" if key in keys else job.cache.object(key) for key in _linked(job)
        ]
        command = [str(job.compiler.path), *job.link_flags, *map(str, objects)]
        (work / "result").mkdir()
        lines += _statement(work / "result" / "core", objects, command, work, "link")
    (work / "build.ninja").write_text("\n".join(lines) + "\n")


def _linked(job: _Job) -> list[str]:
    """Return the keys of what is linked, in order: an engine in place of what it is made of."""
    if job.engine is None:
        return [unit.key for unit in job.units]
    return [job.engine.key, *(unit.key for unit in _apart(job))]


def _apart(job: _Job) -> list[_Unit]:
    """Return what is linked by itself: all but what an engine is made of."""
    joined = {unit.key for unit in job.engine.own} if job.engine is not None else set()
    return [unit for unit in job.units if unit.key not in joined]


def _object(work: Path, unit: _Unit) -> Path:
    return work / f"{unit.key}.o"


def _compile_command(job: _Job, unit: _Unit, work: Path) -> list[str]:
    root, path = job.tree.root, unit.source.path
    return [
        str(job.compiler.path),
        *job.compiler.spelled(unit.flags),
        # Debug information names files relative to the project, wherever the copy lies.
        f"-ffile-prefix-map={root}=.",
        # The compiler compares letters: ~/testbed-mine is not inside of ~/testbed.
        *(f"-ffile-prefix-map={folder}={folder}" for folder in job.tree.folders_beside(path)),
        *(f"-I{folder}" for folder in job.tree.include_folders()),
        "-MMD",
        "-MF",
        str(work / f"{unit.key}.d"),
        "-c",
        str(path.relative_to(root) if path.is_relative_to(root) else path),
    ]


def _statement(
    target: Path, inputs: Sequence[Path], command: Sequence[str], work: Path, key: str
) -> list[str]:
    """Return a build statement: run `command`, keep its messages, move what it made in place."""
    made, log = str(work / f"{key}.out"), str(work / f"{key}.log")
    shell = f"{shlex.join([*command, '-o', made])} 2> {shlex.quote(log)}"
    shell += f" && {shlex.join(['mv', '-f', made, str(target)])}"
    needs = " ".join(map(_ninja_path, inputs))
    return [f"build {_ninja_path(target)}: run {needs}", f"  cmd = {shell.replace('$', '$$')}"]


def _ninja_path(path: Path) -> str:
    return str(path).replace("$", "$$").replace(" ", "$ ").replace(":", "$:")


def _failure(failed: Sequence[_Unit], work: Path, said: str) -> BuildError:
    """Return the error that shows what the compiler wrote of the files that do not compile."""
    if not failed:
        return BuildError("the core does not link", _text(work / "link.log") or said)
    output = "".join(_text(work / f"{unit.key}.log") for unit in failed)
    names = ", ".join(unit.source.name for unit in failed)
    return BuildError(f"{names}: does not compile", output or said)


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def _check_includes(job: _Job, unit: _Unit, work: Path) -> None:
    """Make sure that the compiler read nothing that the key does not cover."""
    known = set(job.tree.closure(unit.source.path))
    rule = (work / f"{unit.key}.d").read_text().replace("\\\n", " ")
    for name in shlex.split(rule.split(": ", 1)[1]):
        if os.path.normpath(job.tree.root / name) not in known:
            raise BuildError(
                f"{unit.source.name}: includes {name} in a way that the builder cannot see: "
                "write the file's name in the #include line itself"
            )
