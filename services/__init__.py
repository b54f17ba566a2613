"""Roomline's services: user, message and media, and what they have in common."""
