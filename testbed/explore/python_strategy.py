"""A strategy in Python, for experiments: ``FILE.py:FUNCTION``."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence

from testbed.errors import TestbedError
from testbed.explore.process import Choose, Pending
from testbed.explore.strategies import STRATEGIES
from testbed.paths import found_path


class StrategyError(TestbedError):
    """There is no such strategy, or one in Python went wrong."""


def load_strategy(given: str) -> Choose:
    """Return the strategy that ``FILE.py:FUNCTION`` names.

    Raises:
        StrategyError: there is none.
    """
    file, colon, function = given.rpartition(":")
    if not colon or not file.endswith(".py"):
        raise StrategyError(
            f"{given}: no such strategy; there are {', '.join(STRATEGIES)}, or FILE.py:FUNCTION"
        )
    path = found_path(file)
    spec = importlib.util.spec_from_file_location(f"testbed_strategy_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise StrategyError(f"{file}: no such Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise StrategyError(f"{file}: {type(error).__name__}: {error}") from error
    found = getattr(module, function, None)
    if not callable(found):
        raise StrategyError(f"{file}: has no function {function}(enabled, current, pending)")

    def choose(enabled: Sequence[int], current: int, pending: Mapping[int, Pending]) -> int:
        try:
            answer = found(enabled, current, pending)
        except Exception as error:
            raise StrategyError(
                f"{given}: {type(error).__name__}: {error}, asked about agents {list(enabled)}"
            ) from error
        if answer not in enabled:
            raise StrategyError(
                f"{given}: it returned {answer!r}, which is not among the agents {list(enabled)}"
            )
        return int(answer)

    return choose
