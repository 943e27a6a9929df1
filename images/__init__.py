"""The image builder: from a recipe to a release's bytes, and from a release to a disk.

`boot/` holds what runs before the root file system (GRUB's scripts, the initrd's program), `node/` what every
node runs after it; `debian/` makes a root of packages. Signing and publishing live in `warmroot.release`.
"""
