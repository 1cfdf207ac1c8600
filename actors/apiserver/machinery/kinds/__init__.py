"""The hooks of the built-in kinds: defaults, validation, what an update may change. One module for each family."""
