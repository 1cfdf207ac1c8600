"""Deployments: one ReplicaSet for each pod template, and the way from one to the next.

`reconcile` is the decision from top to bottom. `revisions` finds and names ReplicaSets, `rolling` and `scaling` size
them, `progress` and `status` tell of it, `controller` reads caches and starts it.
"""
