"""The slot engine: from what is on the disk and what is wanted to the next step. No I/O, no clock."""
