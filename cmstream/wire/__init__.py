"""proto ⇄ core, the only place that knows both. Pure functions, used by the gRPC server and by the client; no torch."""
