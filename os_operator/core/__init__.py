"""Pure decisions: what was seen in, what to do and what to say out. No I/O, no clock."""
