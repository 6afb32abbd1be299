"""Recordings of streams into files: a viewer among others, with a thread of its own."""
