"""A kernel of a few bytes: it prints its command line on the serial port and ends the machine.

Written by hand after Linux's x86 boot protocol (Documentation/arch/x86/boot.rst): a setup header, and 32-bit
code that is entered with %esi on the boot parameters.
"""

import struct
import subprocess
from pathlib import Path

from tests.vm.firmware import EXIT_PORT
from warmroot.disk.layout import MIB

_SETUP_SECTORS = 1
_COMMAND_LINE_POINTER = 0x228
_CODE = (
    b"\x8b\xb6" + struct.pack("<I", _COMMAND_LINE_POINTER)  # mov esi, [esi + 0x228]
    + b"\xac"                                               # next: lodsb
    + b"\x84\xc0\x74\x14"                                   # test al, al; jz done
    + b"\x88\xc4"                                           # mov ah, al
    + b"\x66\xba\xfd\x03\xec\xa8\x20\x74\xf7"               # wait: mov dx, 0x3fd; in; test 0x20; jz wait
    + b"\x66\xba\xf8\x03\x88\xe0\xee\xeb\xe7"               # mov dx, 0x3f8; mov al, ah; out dx, al; jmp next
    + b"\xb0\x0a\xee"                                       # done: mov al, 10; out dx, al
    + b"\x66\xba" + struct.pack("<H", EXIT_PORT) + b"\xee"  # mov dx, port; out dx, al
    + b"\xf4\xeb\xfd"                                       # hlt, for ever
)  # fmt: skip


def kernel() -> bytes:
    """A bzImage."""
    header = bytearray(512 * (1 + _SETUP_SECTORS))
    code = _CODE.ljust(4096, b"\x90")
    struct.pack_into("<BHIHHHH", header, 0x1F1, _SETUP_SECTORS, 0, len(code) // 16, 0, 0, 0, 0xAA55)
    struct.pack_into("<2s4sH", header, 0x200, b"\xeb\x6a", b"HdrS", 0x020C)
    header[0x211] = 1
    struct.pack_into("<I", header, 0x214, 0x100000)
    struct.pack_into("<I", header, 0x22C, 0x7FFFFFFF)
    struct.pack_into("<IBB", header, 0x230, 0x200000, 1, 21)
    struct.pack_into("<I", header, 0x238, 2047)
    struct.pack_into("<QI", header, 0x258, 0x1000000, MIB)
    return bytes(header) + code


def boot_image(path: Path, files: dict[str, bytes]) -> Path:
    """A boot partition's file system with these files."""
    path.write_bytes(bytes(MIB))
    subprocess.run(["mkfs.fat", "--invariant", path], check=True, capture_output=True)
    for name, data in files.items():
        source = path.with_name(f"{path.name}-{name}")
        source.write_bytes(data)
        subprocess.run(["mcopy", "-i", path, source, f"::/{name}"], check=True, capture_output=True)
    return path
