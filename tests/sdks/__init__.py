"""The original Chatkit server SDKs, driven unmodified against a real server."""
