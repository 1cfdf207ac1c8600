"""How a container is, as its probes tell: asked when they are due, in four ways, and judged by thresholds; and hooks.

`probe` has the thresholds and is pure, `prober` asks for a whole node, `checks` asks once, `hooks` runs what the
lifecycle of a container names.
"""
