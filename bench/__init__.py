"""Side-by-side benchmarks of Roomline. `python -m bench --help` says how to run them, docs/benchmarks.md what they say."""
