"""Certificate signing requests: approve those of nodes, sign what is approved, throw away what is old.

`signers` says what each signer signs, `issue` makes certificates, `approving`, `signing` and `cleaning` are the loops,
named as Kubernetes' own: csrapproving, csrsigning, csrcleaner.
"""
