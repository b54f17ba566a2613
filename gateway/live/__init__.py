"""Subscriptions: one hub that follows the services, and the transports that carry events to clients."""
