"""The supervisor behind `roomline up`: starts the processes, restarts them, stops them, says when they are ready."""
