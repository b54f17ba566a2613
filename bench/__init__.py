"""Side-by-side benchmarks. `python -m bench --help` says how to run them, docs/benchmarks.md what they said."""
