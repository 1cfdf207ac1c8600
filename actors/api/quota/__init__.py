"""What objects use of a namespace's ResourceQuota: admission charges by it, the controller counts by it.

Pure. Source: Kubernetes' documentation of resource quotas, and its quota evaluators where that is silent.
"""
