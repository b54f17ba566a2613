"""The `roomline` command."""
