"""PodSecurity: a namespace's labels say how privileged its Pods may be: enforced, audited, or only warned about.

`levels` reads the labels, `baseline` and `restricted` hold the checks, `evaluate` runs those of a level and version,
`plugin` applies them to Pods, to what makes Pods, and to namespaces whose labels change. All but `plugin` is pure.

Source: Kubernetes' Pod Security Standards, and its pod-security-admission for words and versions.
"""
