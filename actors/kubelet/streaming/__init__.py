"""Commands, terminals and ports of the containers on this node, as streams: `serving` answers on the bus, `process` is
what a driver offers, `namespace` opens sockets where the pods are.
"""
