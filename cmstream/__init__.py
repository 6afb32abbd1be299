"""cmstream: live video, repainted by one evaluation of a consistency model per frame. Importing this never loads torch."""

__version__ = "0.1.0"
