"""Cases for the Python SDK, run in an environment that has it; nothing but `run` imports it."""
