"""Which frame runs next: one-slot lanes, earliest deadline first, batches from whatever is ready."""
