"""The `roomline` command, its supervisor and the files it keeps: real processes, real ports."""
