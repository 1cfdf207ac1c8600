"""`kubus completion`: a script that lets the shell complete commands and options."""

import click


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print a completion script for the shell.

    Use it as `source <(kubus completion bash)`.
    """
    from click.shell_completion import get_completion_class

    from actors.cluster.cli import kubus

    kind = get_completion_class(shell)
    assert kind is not None, "click knows the three shells"
    click.echo(kind(kubus, {}, "kubus", "_KUBUS_COMPLETE").source())
