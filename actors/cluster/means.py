"""Real nodes where the machine can run containers, simulated ones where it can't: with one line that says why.

Neighbours: `install` knows what a real node needs, `simulate` rewrites the config.
"""

import os
import sys
from collections.abc import Callable

from actors.api.config import ClusterConfig
from actors.cluster.simulate import has_real_nodes, simulated


def affordable(config: ClusterConfig, *, install_missing: bool, say: Callable[[str], None]) -> ClusterConfig:
    """Return the config, with simulated nodes where this machine lacks what real ones need."""
    if not has_real_nodes(config):
        return config
    obstacle = _obstacle(install_missing, say)
    if not obstacle:
        return config
    say(f"{obstacle}. Coming up with simulated nodes: pods are not executed.")
    return simulated(config)


def _obstacle(install_missing: bool, say: Callable[[str], None]) -> str:
    """Return what is in the way and how to remove it, in one sentence; nothing when real nodes can be had."""
    if sys.platform != "linux":
        return "Real nodes need Linux"
    from actors.cluster import install

    if install_missing and os.geteuid() == 0:
        try:
            install.install_missing(say)
        except install.InstallError as error:
            return f"Real nodes can't be had: {error}"
    sentence = install.explain_missing()
    return sentence[:1].upper() + sentence[1:]
