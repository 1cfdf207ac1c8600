"""SPDY/3.1, as far as Kubernetes' streaming protocols use it: `frames` and `headers` are the bytes, `connection` is the
state machine without I/O, `session` runs it over a byte stream.

The API server speaks it with clients (port-forward in a WebSocket tunnel, and older clients without one), the kubelet
with containerd's streaming server. Source: draft-mbelshe-httpbis-spdy-00 and the SPDY/3.1 protocol page.
"""
