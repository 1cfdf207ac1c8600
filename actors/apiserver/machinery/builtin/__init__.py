"""The rows of the resource table, a module for each family of groups. `registry` puts them together."""
