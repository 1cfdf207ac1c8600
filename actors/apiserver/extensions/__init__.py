"""Custom resources and aggregated API servers: what is served besides the built-in resources.

schema        structural schemas: their rules, validation, pruning, defaults, CEL rules
definition    CustomResourceDefinition: defaults, validation, what may change
conditions    its status: which names are accepted, when it is established
resources     the resources that a definition makes: one for each served version
served        the registry of all that this API server serves now
versions      objects of one version as another: on reading, on writing, in watches
webhook       conversion by a webhook
controller    keeps all of this true to the definitions that are stored; removes objects with their definition
aggregation   APIService: whose groups are served by somebody else, and the way there
"""
