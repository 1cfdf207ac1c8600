"""The command line, `kubus`. Each command is a file in `commands/`, imported when it is used.

Imports here and on the way to a command are kept few: `kubus status` shall answer before its user notices.
"""

import importlib
import os
import sys

import click

from actors.cluster import exits

COMMANDS = {
    "up": "up",
    "down": "down",
    "status": "status",
    "logs": "logs",
    "call": "call",
    "tap": "tap",
    "kill": "kill",
    "restart": "restart",
    "member": "member",
    "bundle": "bundle",
    "snapshot": "snapshot",
    "kubeconfig": "kubeconfig",
    "image": "image",
    "doctor": "doctor",
    "version": "version",
    "completion": "completion",
}


class Commands(click.Group):
    """A group whose commands are imported on demand."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"actors.cluster.commands.{COMMANDS[cmd_name]}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            close = difflib.get_close_matches(args[0], COMMANDS, 1)
            if close:
                raise click.UsageError(f"No such command '{args[0]}'; did you mean {close[0]}?", ctx) from error
            raise


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=exits.TEXT)
def kubus() -> None:
    """A Kubernetes cluster as a multiprocess message-bus actor system."""


def main() -> None:
    """Entry point of the console script."""
    try:
        kubus.main(prog_name="kubus")
    except BrokenPipeError:  # as in `kubus logs x | head`
        sys.stderr.close()
        sys.exit(exits.OK)
    except OSError as error:
        from runtime.full_disk import is_full

        if not is_full(error):
            raise
        sys.stderr.write(f"kubus: {error if error.filename else 'no room is left where its output goes'}\n")
        os._exit(exits.FAILURE)  # without another attempt to write what could not be written


if __name__ == "__main__":
    main()
