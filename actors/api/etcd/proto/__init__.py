"""etcd's API as generated code; `generate` makes it anew."""
