"""How the embedded models are made: procedural scenes, painters, objective, loop and measures.

Imports `models`; nothing but `cli` imports it. Runs on whatever device it is given and starts no threads of its own.
"""
