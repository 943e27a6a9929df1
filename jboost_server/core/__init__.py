"""Bytes and values in, decisions out: class lists, merging, build keys, lookup, tournament, manifests.

No I/O, no clock, no environment. Keys to verify with and times enter as values.
"""
