"""What the API server answers with a connection rather than a document: exec, attach, port-forward, and the proxies.

`connect` and `proxy` are the verbs. `websocket` and SPDY (`actors.api.spdy`) run on a `wire`, the connection after its
101; `channels` is Kubernetes' protocol inside a WebSocket. Behind all of them is a stream of the bus to a kubelet.
"""
