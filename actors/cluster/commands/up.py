"""`kubus up`: bring the cluster up, and stay with it unless detached."""

import time
from pathlib import Path

import click

from actors.cluster import exits
from actors.cluster.commands.shared_options import data_dir_option, fail


@click.command("up")
@click.option("--config", type=click.Path(path_type=Path), help="The cluster as YAML.")
@data_dir_option
@click.option("--detach", "-d", is_flag=True, help="Return once the cluster is ready; `kubus down` stops it.")
@click.option("--install-missing", is_flag=True, help="Install what containers need (containerd, runc, ...) with apt.")
@click.option("--nodes", type=click.IntRange(1), help="How many simulated nodes to play.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the API server, or its balancer; 0: any free one.")
@click.option("--only", multiple=True, metavar="NODE", help="Run this node of the config here, the others elsewhere.")
@click.option("--bundle", type=click.Path(path_type=Path), help="What `kubus bundle create` made for this machine.")
@click.option("--join", is_flag=True, help="Masters that are new here join the cluster instead of founding it.")
def command(
    config: Path | None,
    data_dir: Path,
    detach: bool,
    install_missing: bool,
    nodes: int | None,
    port: int | None,
    only: tuple[str, ...],
    bundle: Path | None,
    join: bool,
) -> None:
    """Bring the cluster up.

    Without --config it is the one that last ran in the data directory; in a new one, configs/single.yaml.

    Shows each actor as it becomes ready, then how to use kubectl. Stays in the foreground until Ctrl-C, which stops
    everything in order. Running containers outlive it and are found again by the next `up`.
    """
    begun = time.monotonic()
    from actors.cluster.bringup import last_config, recorded_here, serve
    from actors.cluster.means import affordable
    from actors.cluster.plan import adjusted, check_here, load_cluster
    from actors.cluster.report import ConsoleReport
    from actors.cluster.wish import Wish
    from runtime.config import ConfigError

    report = ConsoleReport()
    data_dir = data_dir.absolute()
    again = last_config(data_dir) if config is None else None
    try:
        asked = load_cluster(config or again).value
        affordable_config = affordable(asked, install_missing=install_missing, say=report.note)
        wanted = adjusted(affordable_config, nodes=nodes, port=port)
        lacking = adjusted(asked, port=port) if affordable_config is not asked else None
        here = only or (recorded_here(data_dir) if again else ())
        check_here(wanted, here)
    except ConfigError as error:
        fail(str(error), exits.BAD_CONFIG)
    if again:
        report.note(f"Without --config: as it last ran here, by {again}.")
    wish = Wish(wanted, data_dir, begun, detached=detach, here=here, join=join, bundle=bundle, asked=lacking)
    if detach:
        from actors.cluster.detach import run_detached

        raise SystemExit(run_detached(lambda pipe: serve(wish, pipe), report))
    raise SystemExit(serve(wish, report))
