"""Tests of the transports of subscriptions."""
