"""Keep decoded text, because decoding a large library takes seconds."""

import inspect
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from zipfile import BadZipFile

import numpy as np

from testbed.paths import cache_folder
from testbed.text import classify, model, operand
from testbed.text import decode as decoder
from testbed.text.decode import Decoded, decode
from testbed.text.model import INSN, Range, TextFunction

# Decoding that takes longer than this is worth a file, s.
WORTH_KEEPING = 0.1


def decode_cached(
    text: bytes, executable: Sequence[Range], functions: Sequence[TextFunction]
) -> Decoded:
    """Return what `decode` returns, from an earlier time if it took long then."""
    path = cache_folder() / "images" / f"{_key(text, executable, functions)}.npz"
    known = _load(path, len(text))
    if known is not None:
        return known
    start = perf_counter()
    decoded = decode(text, executable, functions)
    if perf_counter() - start > WORTH_KEEPING:
        # A cache that cannot be written only costs time.
        with suppress(OSError):
            _store(path, decoded)
    return decoded


def _key(text: bytes, executable: Sequence[Range], functions: Sequence[TextFunction]) -> str:
    """Return a hash of everything that the result depends on, the decoder included."""
    state = blake2b(digest_size=16)
    state.update(version("iced-x86").encode())
    for module in (model, classify, operand, decoder):
        state.update(Path(inspect.getfile(module)).read_bytes())
    ranges = [(part.start, part.end) for part in executable]
    ranges += [(function.addr - model.TEXT_BASE, function.size) for function in functions]
    state.update(repr((len(text), ranges)).encode())
    for start, end in ranges[: len(executable)]:
        state.update(text[start:end])
    for function in functions:
        start = function.addr - model.TEXT_BASE
        state.update(text[start : start + function.size])
    return state.hexdigest()


def _load(path: Path, size: int) -> Decoded | None:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            offsets, rows, undecoded = stored["offsets"], stored["rows"], stored["undecoded"]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
    with suppress(OSError):
        os.utime(path)  # Used: the cache keeps it.
    text_map = np.zeros(size, INSN)
    text_map[offsets] = rows
    return Decoded(text_map, tuple(Range(int(start), int(end)) for start, end in undecoded))


def _store(path: Path, decoded: Decoded) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    offsets = np.flatnonzero(decoded.text_map["length"])
    undecoded = np.array([(part.start, part.end) for part in decoded.undecoded], np.int64)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
        try:
            np.savez(file, offsets=offsets, rows=decoded.text_map[offsets],
                     undecoded=undecoded.reshape(-1, 2))  # fmt: skip
            file.close()
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise
