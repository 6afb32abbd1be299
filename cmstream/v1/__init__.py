"""Generated from protos/cmstream/v1 by protos/generate.py. Do not edit."""
