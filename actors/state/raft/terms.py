"""Messages of another term than a node's own: a later one is followed, unless it must not count; an earlier one is
answered.

Neighbours: `node` asks before a role sees a message.
"""

from typing import TYPE_CHECKING

from actors.state.raft.records import Append, Appended, InstallSnapshot, Message, RequestVote, Vote

if TYPE_CHECKING:
    from actors.state.raft.node import Node


def on_later(node: "Node", sender: str, message: Message) -> bool:
    """Follow a later term, unless it must not count. Return whether the message is dealt with."""
    if isinstance(message, RequestVote):
        if not message.transfer and node.hears_leader:
            if message.pre:
                node.early[sender] = message
            return True  # we have a leader: a member that was away must not disturb it (paper, end of 6)
        if message.pre:
            return False
    if isinstance(message, Vote) and message.pre and message.granted:
        return False
    leads = isinstance(message, Append | InstallSnapshot)
    node.become_follower(message.term, sender if leads else "")
    return False


def on_earlier(node: "Node", sender: str, message: Message) -> None:
    """Its sender may be stuck in that term: tell it our own."""
    if isinstance(message, Append | InstallSnapshot):
        node.send(sender, Appended(node.term, 0, refused=True))
    elif isinstance(message, RequestVote) and message.pre:
        node.send(sender, Vote(node.term, granted=False, pre=True))
