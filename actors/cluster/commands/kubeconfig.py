"""`kubus kubeconfig`: print the administrator's kubeconfig."""

from pathlib import Path

import click

from actors.cluster import exits
from actors.cluster.commands.shared_options import data_dir_option, fail


@click.command("kubeconfig")
@data_dir_option
def command(data_dir: Path) -> None:
    """Print the administrator's kubeconfig.

    Save it for `kubectl --kubeconfig`, or as ~/.kube/config.
    """
    path = data_dir.absolute() / "kubeconfig"
    try:
        text = path.read_text()
    except FileNotFoundError:
        fail(f"there is no {path} yet; `kubus up` makes it", exits.NOT_RUNNING)
    except OSError as error:
        fail(f"{path}: {error.strerror}")
    click.echo(text, nl=False)
