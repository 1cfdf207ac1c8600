"""Admission policies: rules and changes that users write as CEL expressions, evaluated in this process.

`configuration` compiles policies and bindings, `parameters` finds what a binding refers to, `expressions` evaluates,
`literals` lets expressions write `Object{...}`, `validation` and `mutation` apply policies to writes.

`configuration` alone is imported before there is a policy: all else loads the expression language.

Source: Kubernetes' documentation of validating and mutating admission policies. Neighbours: `webhooks.rules` and
`webhooks.matching` say what a policy is for; `admission.dynamic` keeps what was compiled.
"""
