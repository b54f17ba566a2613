"""Backup and restore of a whole installation, as a folder of files (docs/operations.md has its format)."""
