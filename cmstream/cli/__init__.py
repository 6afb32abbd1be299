"""The command line: one file per command. Heavy imports stand inside commands, so that help is instant."""
