"""Who serves behind a Service: EndpointSlices, and Endpoints for those that still read them.

`addresses` turns a Pod into an endpoint and a Service's ports into numbers, `slices` spreads endpoints over slices with
few writes, `legacy` packs them into one Endpoints object, `mirror` makes slices of Endpoints that somebody keeps by
hand, `controller` watches for all of them.
"""
