"""What `deploy/` ships, run as it is."""
