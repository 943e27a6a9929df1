"""The image builder: from a recipe to a release's bytes, and from a release to a disk.

`boot/` holds the GRUB scripts. Signing and publishing live in `warmroot.release`.
"""
