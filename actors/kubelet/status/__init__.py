"""What the API is told of a pod: `pod_status` and `container_status` make it, `writer` writes it."""
