"""`python -m tests.vm.enumerate`: how many states the proof asks GRUB about, by family."""

import sys
from collections import Counter

from tests.vm.states import every_state


def main() -> None:
    states = every_state()
    lines = [f"{family:10} {count:6}" for family, count in sorted(Counter(s.family for s in states).items())]
    sys.stdout.write("\n".join([*lines, f"{'all':10} {len(states):6}", ""]))


if __name__ == "__main__":
    main()
