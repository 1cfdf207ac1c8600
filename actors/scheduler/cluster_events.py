"""What happens in a cluster that may make an unschedulable pod schedulable. Filters name the ones that help them."""

NODE_ADDED = "NodeAdded"
NODE_ALLOCATABLE = "NodeAllocatableChanged"
NODE_LABEL = "NodeLabelChanged"
NODE_TAINT = "NodeTaintChanged"  # taints or spec.unschedulable
POD_ADDED = "AssignedPodAdded"
POD_UPDATED = "AssignedPodUpdated"
POD_DELETED = "AssignedPodDeleted"
VOLUMES_CHANGED = "VolumesChanged"  # a claim, a volume or a storage class
NAMESPACE_CHANGED = "NamespaceChanged"

POD_EVENTS = frozenset({POD_ADDED, POD_UPDATED, POD_DELETED})
