"""Structural schemas of custom resources: `structural` says which schemas are, `node` compiles them."""
