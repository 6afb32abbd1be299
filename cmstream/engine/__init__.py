"""Engines: the threads and streams on which a model runs. `base` is torch-free; `cpu` and `cuda` are not."""
