"""Tests of `services.common.pipe`, with real gRPC servers."""
