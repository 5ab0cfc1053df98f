"""Tokens for cores: never more holders than tokens, and none is lost with its holder."""

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from testbed.paths import project_root
from testbed.tokens import TokenPool

HOLDER = """
import sys, time
from pathlib import Path
from testbed.tokens import TokenPool

with TokenPool(Path(sys.argv[1]), 2).taken(2):
    print("holds", flush=True)
    time.sleep(60)
"""

# Takes one or two of two tokens, over and over, and notes how many are held by all together.
TAKER = """
import os, sys, time
from pathlib import Path
from testbed.tokens import TokenPool

folder, number = Path(sys.argv[1]), int(sys.argv[2])
pool = TokenPool(folder, 2)
for turn in range(15):
    with pool.taken(1 + (number + turn) % 2) as held:
        mine = [folder / f"held{number}.{n}" for n in range(held)]
        for path in mine:
            path.touch()
        assert len(list(folder.glob("held*"))) <= 2
        time.sleep(0.001)
        for path in mine:
            path.unlink()
"""


def python(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], cwd=project_root(), text=True,
        stdout=subprocess.PIPE,
    )  # fmt: skip


def test_there_are_never_more_holders_than_tokens_and_everybody_has_a_turn(tmp_path: Path) -> None:
    with ExitStack() as started:
        takers = [
            started.enter_context(python(TAKER, str(tmp_path), str(number))) for number in range(4)
        ]
        assert [taker.wait(60) for taker in takers] == [0, 0, 0, 0]


def test_tokens_of_a_killed_process_are_free_at_once(tmp_path: Path) -> None:
    pool = TokenPool(tmp_path, 2)
    with python(HOLDER, str(tmp_path)) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "holds\n"
        assert pool.free() == 0
        os.kill(holder.pid, signal.SIGKILL)

    begin = time.monotonic()
    with pool.taken(2) as held:
        assert held == 2
    assert time.monotonic() - begin < 1


def test_who_holds_tokens_never_waits_for_more(tmp_path: Path) -> None:
    pool = TokenPool(tmp_path, 2)

    with pool.taken(1), pool.taken(2) as more:
        assert more == 1
        with pool.taken(1) as none:
            assert none == 0
    assert pool.free() == 2


def test_nobody_gets_more_tokens_than_there_are(tmp_path: Path) -> None:
    with TokenPool(tmp_path, 2).taken(8) as held:
        assert held == 2
