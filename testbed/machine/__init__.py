"""Machines: workers with real disk bytes, a boot selection that reads them, and a real proxy process.

`disk` opens a disk file, `fat` reads a boot partition, `verity` reads a root partition as dm-verity would,
`boot` loads one slot, `firmware` decides from power-on until something runs, `machine` is one machine's life,
`fleet` many of them, `faults` what is made to go wrong. That the simulated choice is
GRUB's own is proven in `tests/vm`. How a node looks in the API is `testbed.kubelet`'s.
"""
