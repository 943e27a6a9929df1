"""The process that evaluates CEL: a line with an expression and an object in, a line with what it says out.

It has little memory and nothing to open. Whoever started it ends it when an answer takes too long.
"""

from __future__ import annotations

import json
import resource
import sys

from os_operator.core.cel import TOO_DEAR, Said, evaluate, problem

MEMORY = 512 * 2**20
"""Bytes of address space; the interpreter and the library take a third of it."""


def main() -> None:
    """Answers until the input ends."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    problem("true")  # the library is there before the first question's time begins
    _say("ready")
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        try:
            said = evaluate(asked["cel"], asked["object"])
        except MemoryError:
            said = Said(TOO_DEAR, "it needs too much memory")
        _say(json.dumps(said))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
