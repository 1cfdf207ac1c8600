"""Service addresses and node ports: each given to one Service at a time."""
