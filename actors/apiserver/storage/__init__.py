"""Objects as stored bytes: the client of the state actor, the watch cache, watches."""
