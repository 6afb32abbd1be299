"""Measures this machine: the engine alone, and the whole way over gRPC. Every figure comes with what it was measured on."""
