"""A real library compresses real files while every instruction of it takes its turn with a probe.

All CPUs compress, decompress and checksum files through the library's own code; arming tasks put
probes on its instruction boundaries, one after the other, and take them away again. Every output
must equal the one that the library gave before the first probe.
"""

import sysconfig
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from testbed.harness import Counters, HarnessError, Option, Run
from testbed.text.image import DEFAULT_LIBRARY
from testbed.text.model import TextFunction

CLAIM = "a probed library gives the outputs of the unprobed one, byte for byte"
SOURCES = ("real_library.c", "library_probes.c")
LIBRARY = DEFAULT_LIBRARY
CONFIG = {"heap_mb": 64, "harness_mb": 24}
OPTIONS = (
    Option("library", DEFAULT_LIBRARY, "Soname or path of a library with zlib's interface."),
    Option("files", "", "File or folder to compress.  [default: Python's own library]", path=True),
    Option("functions", "", "Functions to probe, comma-separated.  [default: all]"),
    Option("armers", 2, "Tasks that arm and disarm.", minimum=1, maximum=16),
    Option("batch", 12, "Probes that a task holds at a time.", minimum=1, maximum=32),
    Option("hold_us", 1500, "How long it holds them, us.", minimum=0),
    Option("delay", 500, "Time that a delaying handler spins, cycles.", minimum=0),
)

FILES, LARGEST, LEVELS = 32, 48 << 10, 3
CALLS = {
    "deflate_init": "deflateInit_", "deflate": "deflate", "deflate_reset": "deflateReset",
    "deflate_end": "deflateEnd", "inflate_init": "inflateInit_", "inflate": "inflate",
    "inflate_reset": "inflateReset", "inflate_end": "inflateEnd", "crc32": "crc32",
    "adler32": "adler32", "version": "zlibVersion",
}  # fmt: skip


def choose_library(options: Mapping[str, Any]) -> str | None:
    """Return the library that the user named."""
    return str(options["library"])


def setup(run: Run) -> None:
    """Load files, make the references, start workers and arming tasks."""
    machine, options = run.machine, run.options
    at = machine.alloc("struct library")
    library = machine.view(at, "struct library")[0]
    for field, name in CALLS.items():
        library["calls"][field] = function_named(run, name).addr
    library["batch"], library["hold_us"] = options["batch"], options["hold_us"]
    library["delay_cycles"] = options["delay"]
    fill_files(run, library)
    fill_sites(run, library)
    run.state["workers"] = make_workers(run, at)
    first = int(run.state["worker_at"])
    machine.call("library_reference", first, timeout=120.0)
    check_reference(run)
    start(run, at)


def function_named(run: Run, name: str) -> TextFunction:
    """Return a function of the library."""
    try:
        return run.image.function(name)
    except KeyError:
        raise HarnessError(
            f"library={run.options['library']}: it has no {name}(); this harness needs a library "
            "with the interface of zlib"
        ) from None


def contents(run: Run) -> list[bytes]:
    """Return what is to be compressed: the beginnings of some files."""
    where = Path(run.options["files"] or sysconfig.get_paths()["stdlib"])
    if not where.exists():
        raise HarnessError(f"files={where}: no such file or folder")
    paths = [where] if where.is_file() else sorted(where.glob("*.py")) or sorted(where.iterdir())
    paths = [path for path in paths if path.is_file() and path.stat().st_size]
    if not paths:
        raise HarnessError(f"files={where}: no file with anything in it")
    chosen = run.random.sample(paths, min(FILES, len(paths)))
    return [path.read_bytes()[:LARGEST] for path in chosen]


def fill_files(run: Run, library: Any) -> None:
    """Copy the files into the machine."""
    data = contents(run)
    table = run.machine.alloc("struct library_file", len(data))
    files = run.machine.view(table, "struct library_file", len(data))
    for entry, content in zip(files, data, strict=True):
        entry["data"], entry["size"] = run.machine.alloc(len(content)), len(content)
        run.machine.view(int(entry["data"]), "u8", len(content))[:] = list(content)
        entry["crc"], entry["adler"] = zlib.crc32(content), zlib.adler32(content)
    library["files"], library["nr_files"] = table, len(data)
    run.state["files"], run.state["contents"] = files, data


def chosen_function(run: Run, name: str) -> TextFunction:
    """Return a function that the user named."""
    try:
        return run.image.function(name)
    except KeyError:
        told = f"functions={name}: {run.options['library']} has no such function"
        raise HarnessError(told) from None


def fill_sites(run: Run, library: Any) -> None:
    """List the instruction boundaries of the chosen functions."""
    names = [name for name in str(run.options["functions"]).split(",") if name]
    functions = (
        [chosen_function(run, name) for name in names] if names
        else [function for function in run.image.functions if function.module == 1]
    )  # fmt: skip
    addresses = [
        function.addr + offset
        for function in functions
        for offset in run.image.boundaries(function)
    ]
    run.random.shuffle(addresses)
    table = run.machine.alloc("struct library_site", len(addresses))
    sites = run.machine.view(table, "struct library_site", len(addresses))
    sites["addr"] = addresses
    library["sites"], library["nr_sites"] = table, len(addresses)
    run.state["sites"] = sites


def make_workers(run: Run, library: int) -> Any:
    """Make the blocks of the working tasks, one per CPU."""
    room = LARGEST + 4096
    table = run.machine.alloc("struct library_worker", run.cpus)
    workers = run.machine.view(table, "struct library_worker", run.cpus)
    for worker in workers:
        worker["library"], worker["room"] = library, room
        worker["random"] = run.random.getrandbits(64) | 1
        worker["packed"], worker["unpacked"] = run.machine.alloc(room), run.machine.alloc(room)
    run.state["worker_at"] = table
    return workers


def check_reference(run: Run) -> None:
    """See that the references are right themselves: Python's own decompressor must agree."""
    worker, last = run.state["workers"][0], len(run.state["contents"]) - 1
    size = int(run.state["files"][last]["packed_size"][LEVELS - 1])
    packed = run.machine.read(int(worker["packed"]), size)
    if zlib.decompress(packed) != run.state["contents"][last]:
        raise HarnessError("the unprobed library does not compress as zlib does")
    for name in ("files", "bytes"):
        run.state["workers"][name] = 0


def start(run: Run, library: int) -> None:
    """Start the tasks, spread over the CPUs."""
    machine, armers = run.machine, run.options["armers"]
    size = machine.layout.sizeof("struct library_worker")
    for cpu in range(run.cpus):
        machine.spawn(cpu, "library_worker", run.state["worker_at"] + cpu * size, f"worker/{cpu}")
    table = machine.alloc("struct library_armer", armers)
    run.state["armers"] = machine.view(table, "struct library_armer", armers)
    size = machine.layout.sizeof("struct library_armer")
    for number, armer in enumerate(run.state["armers"]):
        armer["library"], armer["random"] = library, run.random.getrandbits(64)
        machine.spawn(number % run.cpus, "library_armer", table + number * size, f"armer/{number}")


def counters(run: Run) -> Counters:
    """Return what the tasks have done so far."""
    workers, armers = run.state.get("workers"), run.state.get("armers")
    if workers is None or armers is None:
        return {}
    sites = run.state["sites"]
    return {
        "operations": int(workers["files"].sum()),
        "bytes compressed": int(workers["bytes"].sum()),
        "probed calls": int(armers["hits"].sum()),
        "register/unregister pairs": int(armers["unregisters"].sum()),
        "boundaries": len(sites),
        "boundaries probed": int((sites["turns"] > 0).sum()),
        "boundaries that take no probe": int((sites["refused"] != 0).sum()),
    }
