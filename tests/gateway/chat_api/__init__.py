"""Tests of the chat API dialect with a backend whose answers they choose."""
