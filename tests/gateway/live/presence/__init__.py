"""Presence in the gateway."""
