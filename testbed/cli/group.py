"""Groups of commands that import a command only when it is used, and guess at a mistyped name."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """A group whose commands are ``name -> ("module:attribute", short help)``."""

    def __init__(
        self, *args: Any, commands_at: Mapping[str, tuple[str, str]], **more: Any
    ) -> None:
        super().__init__(*args, **more)
        self._commands_at = commands_at

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names in the order in which they were given."""
        return list(self._commands_at)

    def get_command(
        self, ctx: click.Context, cmd_name: str  # noqa: ARG002
    ) -> click.Command | None:
        """Import a command."""
        if cmd_name not in self._commands_at:
            return None
        module, attribute = self._commands_at[cmd_name][0].split(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; one that does not exist is answered with the nearest that does."""
        if args and args[0] not in self._commands_at and not args[0].startswith("-"):
            raise click.UsageError(unknown("command", args[0], self._commands_at), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter  # noqa: ARG002
    ) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, told) for name, (_, told) in self._commands_at.items()])


def unknown(what: str, given: str, known: Iterable[str]) -> str:
    """Return a sentence for a name that is not known, with the nearest one that is."""
    near = get_close_matches(given, known, n=1, cutoff=0.5)
    return f"{given}: no such {what}" + (f"; did you mean {near[0]}?" if near else "")
