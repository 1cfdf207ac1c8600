"""One pod on a node, from its binding to its removal: `worker` is the loop, `living` and `leaving` are what it does,
`life` is what they share, `equipment` what the workers of a node share.
"""
