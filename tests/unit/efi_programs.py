"""EFI programs of a few sections, for what reads and signs them. No firmware would start one."""

from __future__ import annotations

import struct

_ALIGN = 512
_SECTIONS = 0x80
_OPTIONAL = 240


def program(sections: dict[str, bytes]) -> bytes:
    """A PE32+ file with these sections. Names longer than eight bytes go where linkers put them."""
    header_size = -(-(_SECTIONS + 24 + _OPTIONAL + 40 * len(sections)) // _ALIGN) * _ALIGN
    bodies, table, names = b"", b"", b""
    for number, (name, data) in enumerate(sections.items(), 1):
        short = name.encode()
        if len(short) > 8:
            short, names = f"/{4 + len(names)}".encode(), names + short + b"\0"
        padded = data.ljust(-(-len(data) // _ALIGN) * _ALIGN, b"\0")
        at = header_size + len(bodies)
        table += struct.pack(
            "<8sIIIIIIHHI", short, len(data), number << 16, len(padded), at, 0, 0, 0, 0, 0x40000040
        )
        bodies += padded
    symbols = header_size + len(bodies)
    file_header = struct.pack("<HHIIIHH", 0x8664, len(sections), 0, symbols, 0, _OPTIONAL, 0x22)
    optional = struct.pack("<HBBIIIIIQIIHHHHHHIIIIHHQQQQII", 0x20B, 0, 0, 0, 0, 0, 0x1000, 0x1000, 0, 0x1000,
                           _ALIGN, 0, 0, 0, 0, 0, 0, 0, (len(sections) + 1) << 16, header_size, 0, 10, 0,
                           0, 0, 0, 0, 0, 16)  # fmt: skip
    start = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", _SECTIONS)
    header = (
        start.ljust(_SECTIONS, b"\0") + b"PE\0\0" + file_header + optional.ljust(_OPTIONAL, b"\0") + table
    )
    strings = struct.pack("<I", 4 + len(names)) + names
    return header.ljust(header_size, b"\0") + bodies + strings


def shim(*, least_grub: int = 5, certificate: bytes = b"of the vendor") -> bytes:
    """What we read of a shim, as Debian's has it."""
    level = f"sbat,1,2025021800\nshim,4\ngrub,{least_grub}\n".encode() + b"\0"
    levels = struct.pack("<3I", 0, 8, 8 + len(level)) + level + b"sbat,1,2025051000\ngrub,9\n\0"
    revoked = b"revoked"
    table = struct.pack("<4I", len(certificate), len(revoked), 16, 16 + len(certificate))
    return program(
        {".text": b"code" * 300, ".sbatlevel": levels, ".vendor_cert": table + certificate + revoked}
    )
