"""Who: users, and the instances and keys that they belong to."""
