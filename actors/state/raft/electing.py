"""Elections: who asks for votes, who gives them (paper 5.2 and 5.4.1; thesis 9.6 for the pre-vote).

A pre-vote changes nothing on either side: only a member that could win raises its term, so one that was cut off does
not disturb the group when it comes back.
"""

from typing import TYPE_CHECKING

from actors.state.raft.records import RequestVote, Vote
from actors.state.raft.role import Role

if TYPE_CHECKING:
    from actors.state.raft.node import Node


def campaign(node: "Node", *, pre: bool, transfer: bool = False) -> None:
    """Ask everybody for their vote."""
    if pre:
        node.become_pre_candidate()
    else:
        node.become_candidate()
    node.votes[node.name] = True
    if _count(node, pre=pre):
        return
    term = node.term + 1 if pre else node.term
    request = RequestVote(term, node.log.last_index, node.log.last_term, pre, transfer)
    for voter in node.members.others(node.name):
        if voter not in node.members.voters:
            continue
        # A real request promises that our own vote, for ourselves, is on disk.
        (node.send if pre else node.send_when_persisted)(voter, request)


def on_request(node: "Node", sender: str, request: RequestVote) -> None:
    """Give or refuse a vote. `request.term` is ours, or for a pre-vote a later one."""
    if node.is_barred:
        return  # it may have acknowledged more than it knows of
    is_free = node.vote in ("", sender) or (request.pre and request.term > node.term)
    granted = is_free and node.log.may_follow(request.last_index, request.last_term)
    if request.pre:
        node.send(sender, Vote(request.term if granted else node.term, granted, pre=True))
        return
    if granted:
        node.vote = sender
        node.elapsed = 0
    node.send_when_persisted(sender, Vote(node.term, granted))


def on_vote(node: "Node", sender: str, vote: Vote) -> None:
    """Count a vote."""
    asked = {Role.PRE_CANDIDATE: True, Role.CANDIDATE: False}.get(node.role)
    if asked is not vote.pre or (vote.pre and vote.granted and vote.term != node.term + 1):
        return
    node.votes.setdefault(sender, vote.granted)
    _count(node, pre=vote.pre)


def _count(node: "Node", *, pre: bool) -> bool:
    """Go on when a majority said yes, give up when it said no; return whether the campaign is decided."""
    yes = [name for name, granted in node.votes.items() if granted]
    no = [name for name, granted in node.votes.items() if not granted]
    if node.members.is_quorum(yes):
        if pre:
            campaign(node, pre=False)
        else:
            node.become_leader()
        return True
    if node.members.is_quorum(no):
        node.become_follower(node.term, "")
        return True
    return False
