"""Who reads archives when many do: one after the other, and nobody is held up by who reads slowly."""

from __future__ import annotations

import asyncio

import pytest

from jboost_server.web.archives import Readers


async def _read(readers: Readers, name: int, seconds: float, began: list[int], ended: list[int]) -> None:
    async with readers.turn():
        began.append(name)
        await asyncio.sleep(seconds)
    ended.append(name)


def _all(readers: Readers, *seconds: float) -> tuple[list[int], list[int]]:
    began: list[int] = []
    ended: list[int] = []

    async def together() -> None:
        await asyncio.gather(*(_read(readers, name, one, began, ended) for name, one in enumerate(seconds)))

    asyncio.run(together())
    return began, ended


def test_who_came_first_has_the_archive_first():
    began, ended = _all(Readers(turns=2, longest=60.0), *[0.01] * 6)
    assert began == [0, 1, 2, 3, 4, 5]
    assert sorted(ended[:2]) == [0, 1]


def test_no_more_are_sent_to_at_one_time_than_have_a_turn():
    readers, now, most = Readers(turns=3, longest=60.0), 0, 0

    async def read() -> None:
        nonlocal now, most
        async with readers.turn():
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1

    async def together() -> None:
        await asyncio.gather(*(read() for _ in range(20)))

    asyncio.run(together())
    assert most == 3


def test_who_reads_slowly_holds_up_nobody():
    began, ended = _all(Readers(turns=1, longest=0.01), 1.0, 0.0, 0.0)
    assert (began, ended) == ([0, 1, 2], [1, 2, 0])


def test_a_reader_that_hangs_up_gives_its_turn_back_once():
    readers = Readers(turns=1, longest=0.01)

    async def hang_up() -> None:
        async with readers.turn():
            await asyncio.sleep(0.05)
            raise ConnectionError

    async def together() -> list[int]:
        with pytest.raises(ConnectionError):
            await hang_up()
        waiting = asyncio.ensure_future(_read(readers, 9, 0.0, [], []))
        await asyncio.sleep(0)
        waiting.cancel()
        began: list[int] = []
        await asyncio.gather(_read(readers, 1, 0.0, began, []), _read(readers, 2, 0.0, began, []))
        return began

    assert asyncio.run(together()) == [1, 2]
    assert not readers._turns.locked()
    assert readers._turns._value == 1, "given back twice, it would let two in"
