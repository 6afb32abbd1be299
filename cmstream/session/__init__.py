"""Streams: one publisher, any number of viewers, live parameters. Torch-free, on the event loop, never blocking."""
