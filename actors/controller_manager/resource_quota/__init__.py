"""The ResourceQuota control loop: counts what a namespace uses, and gives back what ended.

The API server charges a quota in the transaction that uses it, so that a quota never shows less than is used. What goes
again (a Pod that ended, an object that was deleted) nobody gives back but this loop, by counting anew.
"""
