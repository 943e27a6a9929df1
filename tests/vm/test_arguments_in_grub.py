"""GRUB reads a slot's further kernel arguments as `warmroot/disk/arguments.py` does, damage included."""

import random
import re

import pytest

from testbed.vm.hardware import Firmware
from tests.vm import states_disk
from tests.vm.batch import SECONDS, loader, padded
from tests.vm.firmware import Machine
from tests.vm.states import State
from warmroot.disk import arguments
from warmroot.disk.bootrecord import SECTOR

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1500)]
ASK = """      wr_arguments "$bs/env1"
      echo "ADDED $place $added."
"""
_ANSWER = re.compile(r"^ADDED (..)/(.)/(.) (.*)\.$", re.MULTILINE)
SHORT, LONG = ["quiet"], ["mitigations=auto", "audit=0", "hugepages=64"]
"""Short enough for GRUB to show on one line of its terminal, which has 80 columns."""


def sectors():
    """Whole ones, every tear between two, bits that rotted into something that can be printed, and noise."""
    empty, short, long = (arguments.encode(words) for words in ([], SHORT, LONG))
    yield from (empty, short, long, bytes(SECTOR), b"#" * SECTOR)
    for old, new in ((empty, long), (long, empty), (short, long), (long, short)):
        yield from (new[:at] + old[at:] for at in range(0, 180, 3))
    chance = random.Random(5)
    for _ in range(240):
        sector = bytearray(long)
        at, bit = chance.randrange(170), chance.randrange(7)
        if 0x20 <= sector[at] ^ 1 << bit < 0x7F:
            sector[at] ^= 1 << bit
        yield bytes(sector)


@pytest.mark.parametrize("firmware", Firmware, ids=lambda firmware: firmware.value)
def test_grub_and_the_model_add_the_same_words(firmware, tmp_path, tally):
    asked = list(dict.fromkeys(sectors()))
    states = padded([State("arguments", sector, bytes(SECTOR)) for sector in asked])
    disk = states_disk.build(tmp_path / "disk", states, loader(len(states), ASK))
    machine = Machine(firmware, disk.path, tmp_path)
    try:
        output = machine.start().finish(SECONDS)
    finally:
        machine.kill()
    said = {int(unit + group + number, 16): words for unit, group, number, words in _ANSWER.findall(output)}
    expected = {number: arguments.words(state.copy1) for number, state in enumerate(states)}
    assert said == expected
    assert disk.copies() == [(state.copy1, state.copy2) for state in states], "nothing is written"
    tally(f"kernel argument sectors that GRUB read as the model does, {firmware.value}", len(asked))
