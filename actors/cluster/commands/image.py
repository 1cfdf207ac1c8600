"""`kubus image`: images that come from archives instead of a registry."""

from pathlib import Path

import click

from actors.cluster.commands.shared_options import data_dir_option, fail

MIB = 1024 * 1024


@click.group("image")
def command() -> None:
    """Import and list the images of this machine's nodes."""


@command.command("import")
@click.argument("archive", type=click.Path(dir_okay=False, exists=True, path_type=Path))
@data_dir_option
def import_archive(archive: Path, data_dir: Path) -> None:
    """Import ARCHIVE into every node.

    It is an OCI or Docker image, as `docker save` writes it.
    """
    from actors.kubelet.containerd import images

    try:
        names = images.import_now(data_dir.absolute(), archive)
    except images.ImagesError as error:
        fail(str(error))
    for name in names:
        click.echo(name)


@command.command("list")
@data_dir_option
def list_images(data_dir: Path) -> None:
    """List the images of every node."""
    from actors.kubelet.containerd import images

    try:
        rows = images.list_now(data_dir.absolute())
    except images.ImagesError as error:
        fail(str(error))
    width = max((len(row.name) for row in rows), default=0)
    for row in rows:
        click.echo(f"{row.node}  {row.name.ljust(width)}  {row.size_bytes / MIB:8.1f} MiB  {row.id[:19]}")
