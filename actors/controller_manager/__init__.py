"""Every control loop of the cluster, in one process per master, of which one leads.

`actor` is the front door and `term` lists the loops. Each has a folder or a file of its own:

    node_lifecycle/      a Node went silent, or came back: conditions, taints, Pods not ready
    taint_eviction       Pods leave Nodes with NoExecute taints
    node_ipam            a pod subnet for each Node
    pod_gc               Pods of Nodes that are gone, finished Pods that are too many
    replicaset/          so many Pods of a template (ReplicationController too)
    deployment/          from one ReplicaSet to the next
    endpoints/           who serves behind a Service: EndpointSlices, Endpoints
    namespace/           everything in a Namespace that is deleted
    garbage_collector/   what is left when an owner goes
    serviceaccount       `default` in each Namespace, and the cluster's CA for Pods
    clusterrole_aggregation   rules that ClusterRoles collect from others
    certificates/        approve, sign and clear away CertificateSigningRequests
    tokens/              Secrets that are tokens: of service accounts, and of machines that join

A loop is a pure `reconcile` that returns `actions`, in the shell that `controller` and `execute` give all of them.
"""
