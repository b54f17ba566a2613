"""Export and import: what an instance keeps, as a folder of files (docs/operations.md has its format)."""
