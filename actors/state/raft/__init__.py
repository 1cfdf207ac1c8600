"""Raft as a pure core: inputs in (`step`, `tick`, `propose`, `read`), one `Ready` out.

No socket, clock, file, thread or global randomness: time is a count of ticks, randomness is injected. Source: Ongaro
and Ousterhout, "In Search of an Understandable Consensus Algorithm" (extended version), and Ongaro's thesis for
pre-vote (9.6), leadership transfer (3.10), read index (6.4) and single-server membership change (4.1).

Read in this order: `records` (what members say to each other), `entries` (the log in memory), `members`, `progress`
(what a leader knows of a follower), `node` (the state, and where messages go), `electing`, `leading`, `following`.
"""
