"""Namespaces that are deleted: first everything in them, Pods before all else, then they themselves.

`reconcile` decides by what is left, `controller` lists that.
"""
