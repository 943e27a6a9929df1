"""UEFI Secure Boot: keys, signatures, the signed chain shim, GRUB, unified kernel image.

What firmware must hold to start an image of ours, and what an image must carry to be started by it. Nothing
here decides which slot starts; that is GRUB's script (`images/boot`), which is inside a signed program.
Why it is built this way: docs/adr/0019.
"""
