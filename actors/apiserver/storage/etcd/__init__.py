"""The state in a real etcd cluster, behind the same interface as the state actors."""
