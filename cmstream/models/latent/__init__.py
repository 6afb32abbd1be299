"""Latent one-step models: diffusers reads their weights, the direct path runs the frame. Needs the extra `latent`."""
