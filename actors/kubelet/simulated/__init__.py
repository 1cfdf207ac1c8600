"""A container runtime that runs nothing: containers go through their states by rule. Any system, any user."""
