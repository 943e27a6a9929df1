"""The node's disk as bytes: partition table, boot record, BOOTSTATE. Pure: bytes in, values out.

`layout` says where everything is, `gpt` reads and writes the partition table, `bootrecord` is the record
that firmware and proxy share and the model of the boot loader's choice, `bootstate` is the FAT12 image
that holds it. Image builder, proxy and test bed all stand on this one description.
"""
