"""`kubus version`."""

import platform

import click


@click.command("version")
def command() -> None:
    """Print the versions of Kubus, its Kubernetes API, and Python."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        own = version("kubus")
    except PackageNotFoundError:
        own = "from a checkout"
    click.echo(f"kubus {own}\nkubernetes v1.36\npython {platform.python_version()}")
