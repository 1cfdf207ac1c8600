"""Tokens that live in Secrets: those of service accounts are made, expired ones of bootstrapping machines removed."""
