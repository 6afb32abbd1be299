"""Pure building blocks: frames, parameters, mailboxes, clocks, errors. Imports nothing of the other layers."""
