"""Every state of the two boot record copies that a disk can reach, as bytes. Deterministic.

`torn` mixes two records that follow one another in the state machine, at every byte and in both directions:
a disk may persist the front or the back of a sector first. `flipped` loses one bit anywhere. `crafted` holds
what only damage or another tool can make, `fuzzed` what nobody thought of.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product

from warmroot.disk.bootrecord import SECTOR, TRIES, BootRecord, Slot
from warmroot.disk.envblock import SIGNATURE

BOUNDARIES = (0, 1, 7, 8, 9, 10, 18, 80, 99, 100, 10_000_000, 99_999_999)
"""Generations around which an octal, decimal or shortened comparison goes wrong."""
STARTS = (6, 8, 9_999_998)
"""Where a life begins: its generations cross 7 to 8, 9 to 10 and the carry through all digits but one."""


@dataclass(frozen=True)
class State:
    """Both copies, and the family that the state belongs to."""

    family: str
    copy1: bytes
    copy2: bytes


def contents(gen: int) -> list[BootRecord]:
    """Every valid record of one generation."""
    return [
        BootRecord(gen, good, trial, left)
        for good, tried, left in product(Slot, (False, True), range(TRIES + 1))
        for trial in [good.other if tried else None]
    ]


def life(gen: int, good: Slot) -> list[list[BootRecord]]:
    """Every path through the slot state machine that starts confirmed in `good`, one record a step."""
    idle = BootRecord(gen, good)
    prepared = idle.succeed(next=None)
    armed = prepared.succeed(next=good.other, left=TRIES)
    tried = [BootRecord(armed.gen, good, good.other, left) for left in reversed(range(TRIES))]
    counted = [armed, *tried]
    paths = [[idle, prepared, *counted]]
    for trial in counted:
        paths.append([trial, trial.succeed(good=good.other, next=None)])
        paths.append([trial, trial.succeed(next=None)])
    return paths


def steps() -> list[tuple[BootRecord, BootRecord]]:
    """Two records that follow one another, over every carry of `gen`, each once."""
    found = {
        step: None
        for gen, good in product(STARTS, Slot)
        for path in life(gen, good)
        for step in pairwise(path)
    }
    return list(found)


def mixes(old: bytes, new: bytes) -> list[bytes]:
    """Every sector that is partly old and partly new, split at one byte; whole ones too."""
    torn = {(new[:cut] + old[cut:]): None for cut in range(SECTOR + 1)}
    torn |= {(old[:cut] + new[cut:]): None for cut in range(SECTOR + 1)}
    return list(torn)


def compared() -> Iterator[State]:
    """Two valid copies: every pair of contents at a lower, equal and higher gen; every pair of gens."""
    for first, second in ((7, 8), (8, 8), (8, 7)):
        for one, two in product(contents(first), contents(second)):
            yield State("compared", one.encode(), two.encode())
    for first, second in product(BOUNDARIES, BOUNDARIES):
        one, two = BootRecord(first, Slot.A), BootRecord(second, Slot.B, Slot.A, 2)
        yield State("compared", one.encode(), two.encode())


def torn() -> Iterator[State]:
    """Power lost in the write of copy 1, then of copy 2; and in either with the other copy lost."""
    lost = bytes(SECTOR)
    for number, (old, new) in enumerate(steps()):
        for mix in mixes(old.encode(), new.encode()):
            yield State("torn", mix, old.encode())
            yield State("torn", new.encode(), mix)
            if number % 4 == 0:
                yield State("torn", mix, lost)
                yield State("torn", lost, mix)


def garbage() -> list[bytes]:
    """Sectors that are no record at all."""
    noise = random.Random(6)
    armed = BootRecord(8, Slot.A, Slot.B, 3).encode()
    return [
        bytes(SECTOR),
        b"\xff" * SECTOR,
        noise.randbytes(SECTOR),
        SIGNATURE + noise.randbytes(SECTOR - len(SIGNATURE)),
        SIGNATURE.ljust(SECTOR, b"#"),
        SIGNATURE.ljust(SECTOR, b"\0"),
        SIGNATURE.ljust(SECTOR, b"\n"),
        SIGNATURE + b"#" * (SECTOR - len(SIGNATURE) - 1) + b"\n",
        b"# GRUB environment Block\n" + armed[len(SIGNATURE) :],
        armed[1:] + b"#",
        armed[:40].ljust(SECTOR, b"#"),
        armed[:64].ljust(SECTOR, b"\0"),
    ]


def _block(text: bytes, padding: bytes = b"#") -> bytes:
    return (SIGNATURE + text).ljust(SECTOR, padding)


def crafted() -> list[bytes]:
    """Blocks that GRUB reads in a way of its own."""
    gen, good, trial, left = b"gen=00000008\n", b"good=A\n", b"next=B\n", b"left=3\n"
    end = b"end=00000008:A:B:3\n"
    lines = [gen, good, trial, left, end]
    whole = b"".join(lines)
    without = [b"".join(line for line in lines if line is not one) for one in lines]
    bare = [whole.replace(one, one.replace(b"=", b"")) for one in lines]
    empty = [whole.replace(one, one.split(b"=")[0] + b"=\n") for one in lines]
    wrong = [
        (good, b"good=C\n"),
        (good, b"good=a\n"),
        (good, b"good=B\n"),
        (trial, b"next=A\n"),
        (trial, b"next=\n"),
        (left, b"left=4\n"),
        (left, b"left=03\n"),
        (left, b"left=-\n"),
        (gen, b"gen=8\n"),
        (gen, b"gen=0000000x\n"),
        (gen, b"gen=000000008\n"),
        (gen, b"gen= 0000008\n"),
        (end, b"end=1\n"),
        (end, b"end=00000008:A:B:2\n"),
        (end, b"end=00000008:A:B:3 \n"),
        (end, b"end=00000008:A:B:3\r\n"),
        (end, b"end=--set=slot\n"),
        (end, b"end=00000008:A:B:3"),
    ]
    consistent = [
        b"gen=8\ngood=A\nnext=B\nleft=3\nend=8:A:B:3\n",
        b"gen=00000008\ngood=C\nnext=B\nleft=3\nend=00000008:C:B:3\n",
        b"gen=00000008\ngood=A\nnext=A\nleft=3\nend=00000008:A:A:3\n",
        b"gen=00000008\ngood=A\nnext=B\nleft=4\nend=00000008:A:B:4\n",
        b"gen=00000008:A\ngood=B\nnext=3\nleft=\nend=00000008:A:B:3\n",
        b"gen=0000000\xb8\ngood=A\nnext=B\nleft=3\nend=0000000\xb8:A:B:3\n",
        b"gen=-0000008\ngood=A\nnext=B\nleft=3\nend=-0000008:A:B:3\n",
        b"gen=00000008\ngood=A\nnext=B\nleft=3\nend=00000008:A:B:3\\\n\n",
    ]
    older = b"gen=00000001\ngood=B\nnext=-\nleft=0\nend=00000001:B:-:0\n"
    same_meaning = [
        b"".join(reversed(lines)),
        b"# a remark\n" + whole,
        whole + b"extra=1\n",
        b"extra=1\n" + whole,
        b"kernel=quiet splash\n" * 3 + whole,
        whole.replace(b"good=A", b"good=\\A"),
        whole.replace(b"next=B", b"next=B\0tail"),
        whole.replace(b"gen=", b"gen\0x="),
        whole.replace(b"left=3", b"left=3\0"),
        older + whole,
        whole + older,
        whole + gen,
        left + whole,
        b"left=2\n" + whole,
        b"end=\n" + whole,
        whole + whole,
        whole.replace(b"\n", b"\n\n"),
        whole.replace(b"\n", b"\n#\\\n\n"),
        whole.replace(b"\n", b"\r\n"),
        whole.replace(b"\n", b"\0\n"),
        b"\\" + whole,
        b"\xff\xfe" + whole,
        b" " + whole,
        b"x" * 200 + b"=1\n" + whole,
    ]
    blocks = [_block(text) for text in (whole, *without, *bare, *empty, *consistent, *same_meaning)]
    blocks += [_block(whole.replace(*change)) for change in wrong]
    blocks += [_block(whole, padding) for padding in (b"\0", b" ", b"\n", b"x", b"=", b"\\")]
    room = SECTOR - len(SIGNATURE) - len(whole)
    for free in (0, 1, 2, 12, 19, 20):
        filler = b"f=" + b"x" * (room - free - 3) + b"\n"
        blocks += [
            _block(filler + whole),
            _block(whole + filler),
            _block(older + whole + filler[len(older) :]),
        ]
        blocks += [_block(filler + text) for text in without]
    return blocks


def flipped(block: bytes) -> list[bytes]:
    """One bit lost: every bit of what is written, and one of every byte of the padding."""
    content = len(block.rstrip(b"#"))
    bits = [(at, bit) for at in range(content + 2) for bit in range(8)]
    bits += [(at, at % 8) for at in range(content + 2, SECTOR)]
    return [block[:at] + bytes([block[at] ^ 1 << bit]) + block[at + 1 :] for at, bit in bits]


def damaged() -> Iterator[State]:
    """Damage in one copy beside every kind of sound neighbour, and damage in both."""
    neighbours = [record.encode() for record in contents(8)[::2]]
    for bad, neighbour in product(garbage(), neighbours):
        yield State("garbage", bad, neighbour)
        yield State("garbage", neighbour, bad)
    for one, two in product(garbage(), garbage()):
        yield State("garbage", one, two)
    older, newer = BootRecord(7, Slot.B).encode(), BootRecord(9, Slot.B, Slot.A, 2).encode()
    for odd in crafted():
        yield State("crafted", odd, odd)
        yield State("crafted", odd, older)
        yield State("crafted", odd, bytes(SECTOR))
        yield State("crafted", newer, odd)
    armed = BootRecord(8, Slot.A, Slot.B, 3).encode()
    for number, bad in enumerate(flipped(armed)):
        yield State("flipped", bad, older)
        if number % 8 == 0:
            yield State("flipped", newer, bad)


def fuzzed(count: int) -> Iterator[State]:
    """Several changes at once, from a fixed seed, with the bytes that mean something to GRUB."""
    chance = random.Random(2026)
    telling = b"\n\\#=:\0AB-0123\r"
    seeds = [*crafted(), *(record.encode() for record in contents(8))]

    def mutated() -> bytes:
        block = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(SIGNATURE), len(SIGNATURE) + 90)
            block[at : at + chance.randint(0, 2)] = bytes(chance.choices(telling, k=chance.randint(0, 2)))
        return bytes(block[:SECTOR].ljust(SECTOR, b"#"))

    for _ in range(count):
        yield State("fuzzed", mutated(), mutated())


def every_state(fuzz: int = 400) -> list[State]:
    """All of them, each pair of sectors once."""
    unique: dict[tuple[bytes, bytes], State] = {}
    for family in (compared(), torn(), damaged(), fuzzed(fuzz)):
        for state in family:
            unique.setdefault((state.copy1, state.copy2), state)
    return list(unique.values())
