"""The chat API dialect: `/api/v1`."""
