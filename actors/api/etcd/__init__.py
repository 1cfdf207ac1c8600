"""etcd's v3 API as both sides of it know it: the state actor serves it, the API server may ask a real etcd by it."""
