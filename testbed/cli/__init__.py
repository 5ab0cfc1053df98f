"""The command line: ``testbed``.

Exit status: 0 held, 1 violated, 2 usage or a machine that is not able, 3 unknown, 130 interrupted
before anything ran, 141 when nobody reads what it prints. Starting it imports click and nothing
else of size; every command brings its own imports when it is called.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from testbed import __version__
from testbed.cli.group import LazyGroup
from testbed.cli.surroundings import UNWRITABLE, check_utf8, open_standard_files, write_nowhere
from testbed.errors import TestbedError

UNABLE = 2
INTERRUPTED = 130

# As a shell tells of a program that was ended by SIGPIPE; 1 would say that something was found.
CLOSED_PIPE = 141

COMMANDS = {
    "stress": ("testbed.cli.stress:stress", "Run a harness on the real machine for a while."),
    "explore": ("testbed.cli.explore:explore", "Search every schedule of a program, under TSO."),
    "zoo": ("testbed.cli.zoo:zoo", "Put historical bugs back and see whether they are found."),
    "bench": ("testbed.cli.bench:bench", "Measure what things cost here, as ratios."),
    "report": ("testbed.cli.report:report", "List, show and open the reports of earlier runs."),
    "replay": ("testbed.cli.replay:replay", "Run a report's command again and compare."),
    "doctor": ("testbed.cli.doctor:doctor", "Check what this machine can do, and what it costs."),
}


@click.group(cls=LazyGroup, commands_at=COMMANDS)
@click.version_option(__version__, prog_name="testbed", message="%(prog)s %(version)s")
def testbed() -> None:
    """Find races in live code patching and probe lifetimes.

    Exit status: 0 held, 1 violated, 2 usage or a machine that is not able, 3 unknown.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; errors are one sentence on stderr, never a traceback."""
    open_standard_files()
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    with builds_told():
        return _run(arguments)


@contextmanager
def builds_told() -> Iterator[None]:
    """Print what the builder has to say, so that nobody waits and does not know for what."""
    import logging

    class Told(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            click.echo(record.getMessage(), err=True)

    logger, told = logging.getLogger("testbed.build"), Told(logging.INFO)
    level = logger.level
    logger.addHandler(told)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(told)


def _run(arguments: Sequence[str] | None) -> int:
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        check_utf8(words)
        status = testbed.main(
            args=words,
            prog_name="testbed",
            standalone_mode=False,
            color=False if os.environ.get("NO_COLOR") else None,
        )
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return INTERRUPTED
    except TestbedError as error:
        click.echo(error, err=True)
        return UNABLE
    except SystemExit as error:
        # click ends so when nobody reads, and sees to it that nothing more is written.
        if error.code != 1:
            raise
        return CLOSED_PIPE
    except OSError as error:
        if error.errno not in UNWRITABLE or error.filename is not None:
            raise
        write_nowhere()
        click.echo(f"cannot write the output: {(error.strerror or '').lower()}", err=True)
        return UNABLE
    return status if isinstance(status, int) else 0
