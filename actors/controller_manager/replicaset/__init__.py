"""ReplicaSets and ReplicationControllers: so many Pods of one template.

`reconcile` decides, `ranking` says which Pods go first, `status` counts, `controller` reads caches and starts both.
"""
