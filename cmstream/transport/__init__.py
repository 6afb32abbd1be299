"""Transports: how frames, parameters and figures travel. They get everything passed in; none imports another."""
