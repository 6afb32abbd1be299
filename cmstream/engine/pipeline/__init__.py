"""The engine for devices that compute beside the host: copies overlap evaluations; streams and events order the work."""
