"""Removing what a proxy left: rules stay when it stops, as kube-proxy's do, until the cluster itself goes.

Neighbours: `kubus down --purge` calls it, in the network namespace of each node.
"""

from pathlib import Path

from actors.api.network import instance_id
from actors.proxy.transaction import delete
from runtime.command import run

TABLE_PREFIX = "kubus-"


def table_name(data_dir: Path | str) -> str:
    """Return the name of the nftables table of the cluster in a data dir."""
    return TABLE_PREFIX + instance_id(data_dir)


async def purge(data_dir: Path | str) -> None:
    """Remove the cluster's table from this network namespace; CommandFailed says why it could not be.

    The route to the bridge goes with the bridge.
    """
    await run("nft", "-f", "-", text=delete(table_name(data_dir)))
