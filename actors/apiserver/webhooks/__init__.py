"""Admission webhooks: HTTPS servers of a cluster's users that change or refuse what is written.

`rules` says which writes one is for, `configuration` compiles the configurations, `matching` looks at selectors and
conditions, `review` writes and reads AdmissionReviews, `client` carries them, `dispatch` calls all that a write is for.
`rules` and `matching` serve admission policies too.

Source: Kubernetes' documentation of dynamic admission control, and its apiserver where that is silent.
"""
