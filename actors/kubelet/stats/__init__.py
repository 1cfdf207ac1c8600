"""What pods and their node use: read from the kernel, kept for rates, and said in the forms that others ask for.

`cgroups` and `machine` read, `sampler` keeps the last readings, `summary` and `exposition` are pure and make JSON and
Prometheus text of a `usage.Sample`; `serving` answers on the bus.
"""
