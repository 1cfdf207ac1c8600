"""Bodies in Kubernetes' Protobuf form, which Go clients send unless told otherwise, turned into JSON; and the way back.

Answers are JSON, as they are stored, wherever a client takes that too, as those in Go do. Who takes Protobuf only gets
it.
"""
