"""Ask the real GRUB about many states in one boot, and hold the model against its answers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from images.grub import GrubImages, build, scripts
from testbed.vm.hardware import Firmware
from tests.vm import states_disk
from tests.vm.firmware import EXIT_PORT, Machine
from tests.vm.states import State
from tests.vm.states_disk import UNIT
from warmroot.disk.bootrecord import Choice, choose

CHUNK = 512
"""States in one boot. GRUB gets slower with every state that it has seen; a boot costs less than that."""
SECONDS = 1200
"""Far more than needed, for a machine that does other things as well: a hang ends here, not a slow run."""
_RESULT = re.compile(r"^RESULT (..)/(.)/(.) (\S*) (\S*) (\S*)\.$", re.MULTILINE)
_ASK = """      wr_decide
      echo "RESULT $place $slot $source $record."
"""
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
{ask}    done
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


def loader(count: int, ask: str = _ASK) -> GrubImages:
    """GRUB with the shipped `decide.cfg` and a driver that asks about `count` states: `ask`, of each."""
    units = " ".join(f"{number:02X}" for number in range(count // UNIT))
    driver = _DRIVER.format(units=units, digits=" ".join("0123456789ABCDEF"), port=EXIT_PORT, ask=ask)
    return build({**scripts(), "grub.cfg": driver}, extra_modules=("iorw",))


def answers(output: str) -> dict[int, Answer]:
    """GRUB's answers by state number."""
    return {
        int(unit + group + number, 16): Answer(slot, source, record)
        for unit, group, number, slot, source, record in _RESULT.findall(output)
    }


def an_answer(choice: Choice) -> Answer:
    """The answer that the model expects."""
    return Answer(choice.slot.value, choice.source.value, choice.record.end if choice.record else "")


class Asked:
    """Some states on one disk, and a machine that asks GRUB about them."""

    def __init__(self, firmware: Firmware, states: Sequence[State], work: Path, **options):
        self.states = padded(states)
        self.disk = states_disk.build(work / "disk", self.states, loader(len(self.states)))
        self.machine = Machine(firmware, self.disk.path, work, **options)

    def disagreements(self, expected: Sequence[Choice]) -> list[str]:
        output = self.machine.finish(SECONDS)
        answered = answers(output)
        assert "ASKED_ALL" in output, f"GRUB stopped after {len(answered)} states: {output[-400:]!r}"
        assert sorted(answered) == list(range(len(self.states))), "a state has no answer"
        found = []
        for number, (choice, copies) in enumerate(zip(expected, self.disk.copies(), strict=True)):
            if (answered[number], copies) != (an_answer(choice), choice.copies):
                found.append(
                    f"{self.states[number]}: GRUB says {answered[number]}, the model {an_answer(choice)}; "
                    f"GRUB left {copies}, the model {choice.copies}"
                )
        return found


def disagreements(
    firmware: Firmware, states: Sequence[State], work: Path, *, readonly: bool = False
) -> list[str]:
    """What GRUB and the model disagree about; two machines at a time."""
    found: list[str] = []
    chunks = list(enumerate(states[at : at + CHUNK] for at in range(0, len(states), CHUNK)))
    for pair in (chunks[at : at + 2] for at in range(0, len(chunks), 2)):
        running: list[Asked] = []
        try:
            for number, chunk in pair:
                folder = work / str(number)
                folder.mkdir()
                running.append(Asked(firmware, chunk, folder, readonly=readonly))
                running[-1].machine.start()
            for asked in running:
                found += asked.disagreements(
                    [choose(one.copy1, one.copy2, writable=not readonly) for one in asked.states]
                )
                asked.disk.path.unlink()
        finally:
            for asked in running:
                asked.machine.kill()
    return found
