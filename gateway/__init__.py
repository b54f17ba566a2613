"""The JSON gateway: an ordinary client of the services, without rules of its own."""
