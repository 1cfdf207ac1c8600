"""A group of one without a loop: its core on a storage."""

import random

from actors.state.core import Core
from actors.state.machine import Machine
from actors.state.raft.entries import Entries
from actors.state.raft.node import Node
from actors.state.raft.records import HardState


def core_of(recovered, name="alone"):
    """Return the core of a member that leads, with its first entry still to be stored."""
    node = Node(name, recovered.members, recovered.entries, recovered.hard, randomness=random.Random(0))
    core = Core(recovered.machine, node)
    node.campaign()
    assert core.is_alone
    return core


def new_core():
    """Return the core of a group of one that has never stored anything but the entry with which it leads."""
    core = Core(Machine(), Node("alone", {"alone": True}, Entries(), HardState(0, "", 0), randomness=random.Random(0)))
    core.node.campaign()
    work(core)
    return core


def work(core, storage=None):
    """Store and apply everything; return what was applied."""
    applied = []
    while (ready := core.ready()) is not None:
        if ready.must_persist:
            if storage is not None:
                storage.append(ready.entries, ready.hard_state)
            core.persisted(ready)
        applied += core.apply(ready.committed)
    return applied


def lead(storage):
    """Recover and take the lead."""
    core = core_of(storage.recover())
    work(core, storage)
    return core


def save(core, storage):
    """Take a snapshot."""
    taken = core.capture(storage.group.cluster_id)
    storage.remove(storage.release(taken, storage.save(taken)))
