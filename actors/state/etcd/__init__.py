"""etcd's v3 API over gRPC, in front of one state actor."""
