"""What the engine's ports stand on: block devices, boot record store, release sources, the host."""
