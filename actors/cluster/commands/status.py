"""`kubus status`: the actors, as a table or as JSON."""

import json
from pathlib import Path
from typing import Any

import click

from actors.cluster import exits
from actors.cluster.commands.shared_options import data_dir_option, running

COLUMNS = ("NAME", "PID", "HEALTH", "LEADER", "UPTIME", "RESTARTS", "PSS")
COLOURS = {"serving": "green", "failed": "red", "unhealthy": "red", "backoff": "yellow", "starting": "yellow"}


@click.command("status")
@data_dir_option
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(data_dir: Path, output: str) -> None:
    """Show how the actors are.

    Process, health, leadership, uptime, restarts, and memory as PSS: shared pages counted in parts.

    Exit status 1 when an actor is not serving.
    """
    run_dir, _ = running(data_dir)
    from actors.cluster.commands.talk import client, status

    with client() as blocking:
        answer = status(blocking, run_dir, memory=True)
    document = as_document(answer)
    click.echo(json.dumps(document, indent=2) if output == "json" else _table(document))
    if any(row["health"] != "serving" for row in document["actors"]):
        raise SystemExit(exits.FAILURE)


def as_document(answer: Any) -> dict[str, Any]:
    """Return what `-o json` prints."""
    import msgspec

    rows = [{key: value for key, value in msgspec.structs.asdict(row).items()} for row in answer.actors]
    return {"supervisor": msgspec.structs.asdict(answer.supervisor), "actors": rows}


def _table(document: dict[str, Any]) -> str:
    rows = [COLUMNS, *(_row(actor) for actor in document["actors"])]
    widths = [max(len(row[index]) for row in rows) for index in range(len(COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    for index, actor in enumerate(document["actors"], start=1):
        health = actor["health"]
        lines[index] = lines[index].replace(health, click.style(health, fg=COLOURS.get(health)), 1)
        if actor["reason"] and health != "serving":
            lines[index] += f"  {actor['reason']}"
    supervisor = document["supervisor"]
    total_mb = sum(actor["pss_mb"] for actor in document["actors"])
    total_mb += supervisor["pss_mb"] + supervisor["warm_parent_pss_mb"]
    lines.append(f"supervisor {supervisor['pid']}, up {_duration(supervisor['uptime_s'])}, {total_mb:.0f} MB in all")
    return "\n".join(lines)


def _row(actor: dict[str, Any]) -> tuple[str, ...]:
    leader = {True: "yes", False: "no", None: ""}[actor["leader"]]
    running = actor["pid"] != 0
    return (
        actor["name"],
        str(actor["pid"]) if running else "-",
        actor["health"],
        leader,
        _duration(actor["uptime_s"]) if running else "-",
        str(actor["restarts"]),
        f"{actor['pss_mb']:.1f} MB" if running else "-",
    )


def _duration(seconds: float) -> str:
    whole = int(seconds)
    if whole < 120:
        return f"{whole}s"
    if whole < 7200:
        return f"{whole // 60}m{whole % 60}s"
    return f"{whole // 3600}h{whole % 3600 // 60}m" if whole < 172800 else f"{whole // 86400}d{whole % 86400 // 3600}h"
