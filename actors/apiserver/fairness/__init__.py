"""API priority and fairness: who gets a seat when there are more requests than seats.

`schemas` says which flow and priority level a request belongs to, `seats` how many of the server's seats a level may
hold, `queues` whose turn it is within a level; `fairness` puts the three together, without clock or loop. `gate` is the
shell around it: configuration from the watch cache, waiting, and 429. `defaults` are the objects that every cluster
starts with, `upkeep` keeps them and the status of all of them.
"""
