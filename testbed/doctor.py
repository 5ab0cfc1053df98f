"""What this machine can do, and what each missing thing costs.

A check that is needed and missing means that no machine boots here; everything else only takes
something away, and its sentence says what.
"""

import os
import platform
import re
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from testbed import trials
from testbed.errors import TestbedError
from testbed.paths import cache_folder
from testbed.runs import runs_folder
from testbed.toolchain import find_compiler, find_ninja

State = Literal["ok", "warning", "missing"]

PYTHON_NEEDED = (3, 11)
GCC_NEEDED = 11
MEMORY_WANTED = 512 << 20
DISK_WANTED = 200 << 20
TASKS_WANTED = 400
LIBRARY = "libz.so.1"
LIBRARY_FOLDERS = (
    "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib",
    "/usr/lib",
)
UPROBE_TYPE = Path("/sys/bus/event_source/devices/uprobe/type")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what.
        state: how it is.
        found: what was seen, as a phrase.
        cost: what it costs when it is not ok, one sentence; "" when it is.
        needed: whether no machine boots without it.
    """

    name: str
    state: State
    found: str
    cost: str = ""
    needed: bool = False


def check_all(runs: Path | None = None) -> list[Check]:
    """Look at everything; takes less than a second.

    Args:
        runs: the folder of all runs, None for the usual one.
    """
    children = {name: trials.start(name) for name in trials.TRIALS}
    checks = [
        system(), python(), cores(), compiler(), ninja(), memory(), address_space(), overcommit(),
        processes(), patch_tool(), library(), uprobes(), disk(runs_folder(runs)), cache(),
    ]
    results = {name: trials.result(child) for name, child in children.items()}
    at = checks.index(next(check for check in checks if check.name == "memory"))
    checks[at:at] = tried(results)
    return checks


def able(checks: list[Check]) -> bool:
    """Tell whether machines can be booted here."""
    return not any(check.needed and check.state == "missing" for check in checks)


def to_json(checks: list[Check]) -> bytes:
    """Return the checks as a JSON object with ``able`` and ``checks``."""
    document = {"able": able(checks), "checks": checks}
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def tried(results: dict[str, trials.Trial]) -> Iterator[Check]:
    """Yield the checks that were tried in children."""
    rows = (
        ("execute", "executable memory", True,
         "no text can run: noexec or a security policy forbids it (see vm.memfd_noexec)"),
        ("refuse-exec-gain", "W^X by kernel", False,
         "text is never writable and executable at once, but the kernel does not enforce it"),
        ("seal", "sealed memory", False,
         "a process that got hold of a machine's memory could change its size"),
        ("addresses", "fixed addresses", True,
         "machines cannot map their memory: something else is there, for example a sanitizer"),
        ("trap", "traps", True, "breakpoints cannot be taken: no probe works"),
        ("futex", "futex", True, "CPUs cannot wait for each other"),
        ("timer", "timers", False, "ticks come late, so tasks are preempted less often"),
    )
    for name, told, needed, cost in rows:
        trial = results[name]
        bad: State = "missing" if needed else "warning"
        state = "ok" if trial.worked else bad
        yield Check(told, state, trial.found, "" if trial.worked else cost, needed)


def system() -> Check:
    """Look at operating system and architecture."""
    found = f"{platform.system()} {platform.release()} on {platform.machine()}"
    good = platform.system() == "Linux" and platform.machine() == "x86_64"
    return _needed("system", good, found, "machines run on Linux on x86-64 only")


def python() -> Check:
    """Look at the version of Python."""
    wanted = ".".join(map(str, PYTHON_NEEDED))
    return _needed(
        "python", sys.version_info >= PYTHON_NEEDED, sys.version.split()[0],
        f"the testbed needs Python {wanted} or newer",
    )


def cores() -> Check:
    """Look at how many cores this process may use, and whether a quota limits them."""
    usable = len(os.sched_getaffinity(0))
    quota, _, period = (_cgroup("cpu.max") or "max").partition(" ")
    found = f"{usable} usable"
    if quota.isdigit() and period.isdigit() and int(period):
        share = int(quota) / int(period)
        found += f", quota of {share:.1f}"
        usable = min(usable, int(share))
    if usable >= 2:
        return Check("cores", "ok", found)
    return Check("cores", "warning", found, "CPUs take turns on one core: real races are rare")


def compiler() -> Check:
    """Look for a C compiler that is new enough."""
    try:
        version = find_compiler().version()
    except TestbedError as error:
        return Check("compiler", "missing", str(error), "the core cannot be built", True)
    numbers = re.findall(r"(\d+)\.\d+\.\d+", version)
    if "clang" in version:
        return Check("compiler", "warning", version, "the core is tested with gcc", True)
    if numbers and int(numbers[-1]) >= GCC_NEEDED:
        return Check("compiler", "ok", version, "", True)
    return Check(
        "compiler", "warning", version, f"the core is tested with gcc {GCC_NEEDED} or newer", True
    )


def ninja() -> Check:
    """Look for ninja, which runs the compiler."""
    try:
        return Check("ninja", "ok", str(find_ninja().name), "", True)
    except TestbedError as error:
        return Check("ninja", "missing", str(error), "the core cannot be built", True)


def memory() -> Check:
    """Look at the memory that is free, within the control group's limit."""
    found_free = re.search(r"MemAvailable:\s+(\d+) kB", _read(Path("/proc/meminfo")) or "")
    free = int(found_free[1]) << 10 if found_free else 0
    limit, used = _cgroup("memory.max"), _cgroup("memory.current")
    if limit and limit.isdigit() and used and used.isdigit():
        free = min(free, int(limit) - int(used))
    locked = _limit(resource.RLIMIT_MEMLOCK, 1 << 10, "KiB")
    found = f"{free >> 20} MiB free, {locked} may be locked"
    if free >= MEMORY_WANTED:
        return Check("memory", "ok", found)
    return Check("memory", "warning", found, "machines of many CPUs may find no memory to boot")


def address_space() -> Check:
    """Look at the limit of the address space."""
    soft = resource.getrlimit(resource.RLIMIT_AS)[0]
    found = _limit(resource.RLIMIT_AS, 1 << 20, "MiB")
    if soft == resource.RLIM_INFINITY or soft >= 4 * MEMORY_WANTED:
        return Check("address space", "ok", found)
    return Check("address space", "warning", found, "mappings may be refused: ulimit -v is low")


def overcommit() -> Check:
    """Look at the kernel's policy for memory that nobody touches."""
    mode = _read(Path("/proc/sys/vm/overcommit_memory")) or "unknown"
    if mode != "2":
        return Check("overcommit", "ok", f"vm.overcommit_memory = {mode}")
    return Check("overcommit", "warning", f"vm.overcommit_memory = {mode}",
                 "stacks count in full, so a machine needs more free memory than it uses")


def processes() -> Check:
    """Look at how many processes and threads are allowed: each task is a thread."""
    soft = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    group = _cgroup("pids.max") or "max"
    limits = [value for value in (soft, int(group) if group.isdigit() else -1) if value >= 0]
    used = int(_cgroup("pids.current") or 0)
    found = f"{_limit(resource.RLIMIT_NPROC, 1, 'processes')}, control group {group}"
    if not limits or min(limits) - used >= TASKS_WANTED:
        return Check("processes", "ok", found)
    return Check("processes", "warning", found,
                 "machines with many tasks may not boot: each task is a thread")


def patch_tool() -> Check:
    """Look for what applies a patch."""
    for name in ("git", "patch"):
        if shutil.which(name):
            return Check("patch tool", "ok", name)
    return Check("patch tool", "warning", "neither git nor patch",
                 "testbed zoo and --patch do not work: apt install patch")


def library() -> Check:
    """Look for the real library that is probed by default."""
    for folder in LIBRARY_FOLDERS:
        path = Path(folder, LIBRARY)
        if path.exists():
            return Check("library", "ok", str(path))
    return Check("library", "warning", f"no {LIBRARY}",
                 "real_library needs one that you name: apt install zlib1g")


def uprobes() -> Check:
    """Look whether the kernel's own uprobes can be measured for comparison."""
    if not UPROBE_TYPE.exists():
        found = "the kernel has no uprobes for perf_event_open"
    elif os.geteuid() != 0:
        found = "needs root"
    else:
        return Check("kernel uprobes", "ok", "perf_event_open may make them")
    return Check("kernel uprobes", "warning", found,
                 "testbed bench prints no figures of the real kernel beside its own")


def disk(runs: Path) -> Check:
    """Look at the space for reports, and whether they can be written."""
    folder = runs.absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    problem = _write_problem(folder)
    found = f"{free >> 20} MiB free for {runs}"
    if problem:
        return Check("disk", "missing", f"{folder}: {problem}",
                     "reports cannot be written: use --runs DIR")
    if free < DISK_WANTED:
        return Check("disk", "warning", found,
                     "reports may not fit: free some space or use --runs DIR")
    return Check("disk", "ok", found)


def cache() -> Check:
    """Look whether built cores can be kept."""
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        problem = _write_problem(folder)
    except OSError as error:
        problem = (error.strerror or str(error)).lower()
    return _needed(
        "cache", not problem, f"{folder}: {problem}" if problem else str(folder),
        "built cores have no place: set XDG_CACHE_HOME to a folder that can be written",
    )


def _needed(name: str, good: bool, found: str, cost: str) -> Check:
    return Check(name, "ok" if good else "missing", found, "" if good else cost, True)


def _write_problem(folder: Path) -> str:
    """Return why nothing can be written in `folder`, "" if it can."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".testbed-") as file:
            file.write(b"x" * 4096)
            file.flush()
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return ""


def _limit(which: int, unit: int, name: str) -> str:
    soft = resource.getrlimit(which)[0]
    return "no limit" if soft == resource.RLIM_INFINITY else f"{soft // unit} {name}"


def _cgroup(name: str) -> str | None:
    """Return a setting of this process's control group (version 2), None if there is none."""
    for line in (_read(Path("/proc/self/cgroup")) or "").splitlines():
        if line.startswith("0::"):
            return _read(Path("/sys/fs/cgroup") / line[4:] / name)
    return None


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
