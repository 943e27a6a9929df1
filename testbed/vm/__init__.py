"""Virtual machines: real firmware, a real kernel and a real systemd on a disk image, under QEMU."""
