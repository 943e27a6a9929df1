"""Ask the real GRUB about many states in one boot."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from images.grub import GrubImages, build, scripts
from tests.vm.firmware import EXIT_PORT
from tests.vm.states import State
from tests.vm.states_disk import UNIT

_RESULT = re.compile(r"^RESULT (..)/(.)/(.) (\S*) (\S*) (\S*)\.$", re.MULTILINE)
_DRIVER = """
serial --unit=0 --speed=115200
terminal_output serial
regexp --set=1:disk -- '^\\(([^,)]+)' "$cmdpath"
source $prefix/decide.cfg
echo "asking, below the codes that clear the screen"
for unit in {units}; do
  for group in {digits}; do
    for number in {digits}; do
      set place="$unit/$group/$number"
      set bs="($disk,gpt8)/$place"
      wr_decide
      echo "RESULT $place $slot $source $record."
    done
  done
done
echo ASKED_ALL
outb {port:#x} 0x10
"""


@dataclass(frozen=True)
class Answer:
    """GRUB's output for one state: `record` is what its variable of this name said."""

    slot: str
    source: str
    record: str


def padded(states: Sequence[State]) -> list[State]:
    """As many states as fill whole units."""
    return [*states, *[states[0]] * (-len(states) % UNIT)]


def loader(count: int) -> GrubImages:
    """GRUB with the shipped `decide.cfg` and a driver that asks about `count` states."""
    units = " ".join(f"{number:02X}" for number in range(count // UNIT))
    driver = _DRIVER.format(units=units, digits=" ".join("0123456789ABCDEF"), port=EXIT_PORT)
    return build({**scripts(), "grub.cfg": driver}, extra_modules=("iorw",))


def answers(output: str) -> dict[int, Answer]:
    """GRUB's answers by state number."""
    return {
        int(unit + group + number, 16): Answer(slot, source, record)
        for unit, group, number, slot, source, record in _RESULT.findall(output)
    }
