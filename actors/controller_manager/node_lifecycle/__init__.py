"""What happens when a Node goes silent.

1. Its Lease in kube-node-lease is not renewed any more. `heartbeats` times that with our own clock.
2. After node_monitor_grace_period_s `health` turns its conditions to Unknown (NodeStatusUnknown).
3. Its Pods are marked not ready, so that no Service sends them traffic (`health.mark_pods`).
4. `taints` adds node.kubernetes.io/unreachable: NoSchedule at once, NoExecute as fast as `zones` lets it, which is not
   at all when every Node is silent: then it is rather us who are cut off.
5. `taint_eviction`, a loop of its own, deletes Pods that do not tolerate NoExecute, the others when their
   tolerationSeconds are over (300 for most Pods).
6. Should the Node object be deleted, `pod_gc` removes what was bound to it, and `node_ipam` takes back its subnet.

When the Node renews its Lease and posts its status, the taints go, and the Pods' status is the kubelet's again.
"""
