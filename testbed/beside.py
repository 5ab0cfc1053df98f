"""What is derived from a built file and kept beside it, so that it is made only once."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

Kept = TypeVar("Kept")


def load_beside(path: Path, kind: type[Kept]) -> Kept | None:
    """Return what was kept, None if nothing is or it cannot be read."""
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError):
        return None


def keep_beside(path: Path, value: msgspec.Struct) -> None:
    """Keep `value` if that can be written; others see all of it or nothing."""
    with suppress(OSError):
        descriptor, temporary = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.msgpack.encode(value))
            Path(temporary).rename(path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
