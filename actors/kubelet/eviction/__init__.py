"""A node that runs out of something: which thresholds are met, what is given back first, and which pod has to go.

`thresholds` and `pressure` say when, `ranking` says who, `local_storage` finds pods that broke their own limits; all of
them are pure. `eviction` acts, with `garbage` removing images and containers that nobody needs.
"""
