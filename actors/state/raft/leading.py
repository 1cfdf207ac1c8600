"""What a leader does: replicates, commits, makes sure that it leads, says where reads may begin, hands over."""

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from actors.state.raft.entries import Compacted, size_bytes
from actors.state.raft.progress import Mode, Progress
from actors.state.raft.records import Append, Appended, AskReadIndex, Entry, InstallSnapshot, ReadIndex, TimeoutNow
from actors.state.raft.role import Role

if TYPE_CHECKING:
    from actors.state.raft.node import Node

MESSAGE_BYTES = 1 << 20  # of entries in one message
MAX_READS = 10_000  # that wait for a round; more are lost, and asked again


@dataclass(slots=True)
class Reign:
    """What a leader keeps beside its followers' progress."""

    first_index: int = 0  # of its own term; nothing is read before it is committed
    uncommitted_bytes: int = 0
    since_beat: int = 0
    round: int = 0
    beat_is_due: bool = False
    transferee: str = ""
    transfer_age: int = 0
    new_reads: list[tuple[str, int]] = field(default_factory=list)  # (who asks, context)
    reads: deque[tuple[int, int, list[tuple[str, int]]]] = field(default_factory=deque)  # (round, index, who)


def begin(node: "Node") -> None:
    """A reign begins, with an entry of its own term: committing it commits what earlier terms left (paper, 5.4.2)."""
    node.leading = Reign()
    node.progress = {name: Progress(node.log.last_index + 1) for name in node.members.votes}
    for name, progress in node.progress.items():
        progress.was_heard = node.votes.get(name, False)
    entry = append(node, b"")
    node.leading.first_index = entry.index


def append(node: "Node", data: bytes, votes: dict[str, bool] | None = None) -> Entry:
    entry = Entry(node.log.last_index + 1, node.term, data, votes)
    node.leading.uncommitted_bytes += len(data)
    if votes is None:
        node.log.push(entry)
    else:
        node.append_entries([entry])
        _on_members(node)
    return entry


def tick(node: "Node") -> None:
    """Beat; now and then see whether a majority still answers, and step down if not (thesis, 6.2).

    One that hears nobody may still be heard, and its beats kept the others quiet: so it names who should be next.
    """
    reign = node.leading
    reign.since_beat += 1
    if reign.since_beat >= node.timing.heartbeat:
        reign.beat_is_due = True
    if reign.transferee:
        reign.transfer_age += 1
        if reign.transfer_age >= node.timing.election:
            reign.transferee = ""
    if node.elapsed < node.timing.election:
        return
    node.elapsed = 0
    heard = {name for name, progress in node.progress.items() if progress.look()} | {node.name}
    if not node.members.is_quorum(heard):
        term, heir = node.term, _most_up_to_date(node)
        node.become_follower(term, "")
        node.send(heir, TimeoutNow(term))


def _most_up_to_date(node: "Node") -> str:
    """Return the voter, other than this member, whose log is known to go furthest."""
    others = {name: progress.match for name, progress in node.progress.items() if name != node.name}
    return max(others.keys() & node.members.voters, key=lambda name: (others[name], name))


def on_appended(node: "Node", sender: str, message: Appended) -> None:
    """A follower says how far its log agrees."""
    progress = node.progress.get(sender)
    if node.role is not Role.LEADER or progress is None:
        return
    progress.is_heard = True
    if message.round > progress.round:
        progress.round = message.round
        _confirm_reads(node)
    if message.refused:
        progress.refused(message.index, _best_guess(node, message))
        return
    news = progress.agreed(message.index)
    if news:
        _commit(node)
    if node.leading.transferee == sender and progress.match == node.log.last_index:
        node.send(sender, TimeoutNow(node.term))


def on_own_progress(node: "Node") -> None:
    """More of the log is on this member's own disk."""
    _commit(node)


def _on_members(node: "Node") -> None:
    """The group changes: followers come and go."""
    for name in node.members.votes:
        if name not in node.progress:
            node.progress[name] = Progress(node.log.last_index + 1)
    for name in list(node.progress):
        if name not in node.members:
            del node.progress[name]
    if node.leading.transferee not in node.members.voters:
        node.leading.transferee = ""


def read(node: "Node", who: str, context: int) -> None:
    """Take a read: it may begin where the log is committed now, once a round shows that we still lead (thesis, 6.4)."""
    reign = node.leading
    if len(reign.new_reads) + len(reign.reads) >= MAX_READS:
        _lose(node, who, context)
    else:
        reign.new_reads.append((who, context))


def on_ask_read(node: "Node", sender: str, message: AskReadIndex) -> None:
    if node.role is Role.LEADER:
        read(node, sender, message.context)
    else:
        node.send(sender, ReadIndex(node.term, message.context, 0))


def abandon_reads(node: "Node") -> list[int]:
    """The reign ends: return our own reads, tell the others that theirs are lost."""
    reign = node.leading
    asked = reign.new_reads + [one for _, _, who in reign.reads for one in who]
    node.leading = Reign()
    node.progress = {}
    for who, context in asked:
        if who != node.name:
            node.send(who, ReadIndex(node.term, context, 0))
    return [context for who, context in asked if who == node.name]


def transfer(node: "Node", to: str) -> None:
    """Take no more proposals, and tell the heir to begin once it has everything."""
    reign = node.leading
    reign.transferee, reign.transfer_age = to, 0
    if node.progress[to].match == node.log.last_index:
        node.send(to, TimeoutNow(node.term))


def send_what_is_due(node: "Node") -> None:
    """Send entries to whoever can take some, and a beat to the rest if one is due or a read waits for a round."""
    reign = node.leading
    if reign.new_reads and node.log.commit >= reign.first_index:
        reign.round += 1
        reign.reads.append((reign.round, node.log.commit, reign.new_reads))
        reign.new_reads = []
        reign.beat_is_due = True
    beat, reign.beat_is_due = reign.beat_is_due, False
    if beat:
        reign.since_beat = 0
    for name, progress in node.progress.items():
        if name != node.name:
            _send_to(node, name, progress, beat=beat)
    _confirm_reads(node)


def _send_to(node: "Node", name: str, progress: Progress, *, beat: bool) -> None:
    if beat:
        progress.beat()
    sent = False
    while progress.may_send and progress.next <= node.log.last_index:
        if not _send_entries(node, name, progress):
            break
        sent = True
    if beat and not sent:
        _send_beat(node, name, progress)


def _send_entries(node: "Node", name: str, progress: Progress) -> bool:
    prev_index = progress.next - 1
    prev_term = node.log.term(prev_index)
    try:
        entries = node.log.after(prev_index, MESSAGE_BYTES)
    except Compacted:
        prev_term = None
        entries = []
    if prev_term is None:
        _send_snapshot(node, name, progress)
        return False
    commit, round_ = node.log.commit, node.leading.round
    node.send(name, Append(node.term, prev_index, prev_term, entries, commit, round_))
    progress.sent(entries[-1].index, size_bytes(entries))
    return True


def _send_beat(node: "Node", name: str, progress: Progress) -> None:
    """A beat sits on the last entry that was sent, so that a follower which lost some refuses it, and gets them again.

    Where that entry is compacted, or a snapshot is on its way, it sits on the beginning, with which every log agrees.
    """
    prev_index = 0 if progress.mode is Mode.SNAPSHOT else progress.next - 1
    prev_term = node.log.term(prev_index)
    if prev_term is None:
        prev_index = prev_term = 0
    commit = min(node.log.commit, progress.match)
    node.send(name, Append(node.term, prev_index, prev_term, [], commit, node.leading.round))


def _send_snapshot(node: "Node", name: str, progress: Progress) -> None:
    if not progress.is_active:
        return  # it would only wait for nothing; its answer to the next beat brings it here again
    progress.send_snapshot(node.log.offset)
    votes = node.history.at(node.log.offset).votes
    node.send(name, InstallSnapshot(node.term, node.log.offset, node.log.offset_term, votes))


def _best_guess(node: "Node", message: Appended) -> int:
    """Where the logs may agree: skip our own entries of later terms than the follower has there."""
    if not message.hint_term:
        return message.hint_index
    return node.log.last_of_term_upto(message.hint_term, message.hint_index)


def _commit(node: "Node") -> None:
    """Commit what a majority has on disk, if it is of our own term (paper, 5.4.2)."""
    if node.is_alone:
        index = node.log.stable
    else:
        match = {name: progress.match for name, progress in node.progress.items()}
        match[node.name] = node.log.stable
        index = node.members.agreed_index(match)
    if index <= node.log.commit or node.log.term(index) != node.term:
        return
    done = node.log.between(node.log.commit, index)
    reign = node.leading
    reign.uncommitted_bytes = max(0, reign.uncommitted_bytes - size_bytes(done))
    node.log.commit_to(index)
    reign.beat_is_due = True  # followers apply it, and answer their readers, the sooner
    if node.name not in node.members.voters and node.history.newest_index <= index:
        node.become_follower(node.term, "")  # this member is out, and a majority knows (thesis, 4.2.2)


def _confirm_reads(node: "Node") -> None:
    reign = node.leading
    while reign.reads:
        round_, index, asked = reign.reads[0]
        confirmed = [name for name, progress in node.progress.items() if progress.round >= round_]
        if not node.members.is_quorum([*confirmed, node.name]):  # which counts us only if we vote
            return
        reign.reads.popleft()
        for who, context in asked:
            if who == node.name:
                node.answer_read(context, index)
            else:
                node.send(who, ReadIndex(node.term, context, index))


def _lose(node: "Node", who: str, context: int) -> None:
    if who == node.name:
        node.lose_read(context)
    else:
        node.send(who, ReadIndex(node.term, context, 0))
