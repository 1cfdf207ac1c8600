"""The audit log: who asked for what, and what became of it, as much as a policy says.

`policy` decides, `event` puts events together, `file` writes them as JSON lines and rotates, `auditor` is what the
handler talks to. Without a policy there is no auditor, and a request pays for one comparison.
"""
