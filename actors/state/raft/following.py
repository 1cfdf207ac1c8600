"""What a follower does: takes entries and snapshots from its leader, and asks it where reads may begin."""

from typing import TYPE_CHECKING

from actors.state.raft.records import Append, Appended, AskReadIndex, InstallSnapshot, ReadIndex
from actors.state.raft.role import Role

if TYPE_CHECKING:
    from actors.state.raft.node import Node


class Asked:
    """Reads that the leader was asked about and has not answered."""

    def __init__(self) -> None:
        self.contexts: set[int] = set()

    def abandon(self) -> list[int]:
        lost = sorted(self.contexts)
        self.contexts.clear()
        return lost


def on_leader(node: "Node", sender: str, message: Append | InstallSnapshot) -> None:
    """The leader of this term speaks."""
    if node.role is not Role.FOLLOWER or node.leader != sender:
        assert node.role is not Role.LEADER, f"two leaders in term {node.term}: {node.name} and {sender}"
        node.become_follower(node.term, sender)
    node.elapsed = 0
    if isinstance(message, Append):
        _on_append(node, sender, message)
    else:
        _on_snapshot(node, sender, message)


def on_read_index(node: "Node", message: ReadIndex) -> None:
    if message.context in node.following.contexts:
        node.following.contexts.discard(message.context)
        if message.index:
            node.answer_read(message.context, message.index)
        else:
            node.lose_read(message.context)


def read(node: "Node", context: int) -> None:
    """Ask the leader where a read may begin."""
    if not node.leader:
        node.lose_read(context)
        return
    node.following.contexts.add(context)
    node.send(node.leader, AskReadIndex(node.term, context))


def _on_append(node: "Node", sender: str, message: Append) -> None:
    log = node.log
    if message.prev_index < log.commit:
        # What is committed agrees for certain; the entries after it come again.
        _acknowledge(node, sender, message, log.commit)
        return
    if log.term(message.prev_index) != message.prev_term:
        hint_index = log.last_of_term_upto(message.prev_term, message.prev_index)
        hint_term = log.term(hint_index) or 0
        refusal = Appended(node.term, message.prev_index, True, hint_index, hint_term, message.round)
        node.send_when_persisted(sender, refusal)
        return
    first = log.first_conflict(message.entries)
    if first is not None:
        node.append_entries(message.entries[first.index - message.entries[0].index :])
    agreed = message.prev_index + len(message.entries)
    log.commit_to(min(message.commit, agreed))
    _acknowledge(node, sender, message, agreed)


def _acknowledge(node: "Node", sender: str, message: Append, agreed: int) -> None:
    """Say how far the logs agree. A sign of life does not wait for a disk that is slow: it promises what is there."""
    if not message.entries and node.durable_term == node.term:
        node.send(sender, Appended(node.term, min(agreed, node.log.stable), round=message.round))
    else:
        node.send_when_persisted(sender, Appended(node.term, agreed, round=message.round))


def _on_snapshot(node: "Node", sender: str, message: InstallSnapshot) -> None:
    if message.index > node.log.commit:
        if node.log.term(message.index) == message.last_term:
            node.log.commit_to(message.index)  # the log has it all; no need to take the state
        else:
            node.install(message)
    node.send_when_persisted(sender, Appended(node.term, node.log.commit))
