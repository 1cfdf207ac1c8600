"""Who is asking, and may they: identities, authenticators, RBAC and the node authorizer."""
