"""Bodies in Kubernetes' Protobuf form, which Go clients send unless told otherwise, turned into JSON.

Answers are always JSON: every client that writes Protobuf also reads that.
"""
