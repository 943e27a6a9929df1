"""A root shell on the second serial line, for tests. No image of ours has it but by this."""

from __future__ import annotations

from images.recipe import File, Recipe

UNIT = "testbed-shell.service"
_SERVER = r"""#!/bin/bash
# A line in is a command in base64; a line out is its status and its output in base64.
stty -F /dev/ttyS1 raw -echo
exec </dev/ttyS1 >/dev/ttyS1
echo ready
while IFS= read -r line; do
  out=$(printf %s "$line" | base64 -d | bash 2>&1)
  status=$?
  printf '%s %s\n' "$status" "$(printf %s "$out" | base64 -w0)"
done
"""
_SERVICE = """[Unit]
Description=Shell of the test bed
ConditionPathExists=/dev/ttyS1

[Service]
ExecStart=/usr/lib/testbed-shell
Restart=always
KillSignal=SIGKILL

[Install]
WantedBy=multi-user.target
"""


FILES = (
    File(path="/usr/lib/testbed-shell", mode="0755", content=_SERVER),
    File(path=f"/usr/lib/systemd/system/{UNIT}", content=_SERVICE),
)
"""What it is made of, besides that `UNIT` has to be enabled."""


def with_shell(recipe: Recipe) -> Recipe:
    """The same recipe with the shell in it."""
    units = recipe.units.model_copy(update={"enable": (*recipe.units.enable, UNIT)})
    return recipe.model_copy(update={"files": (*recipe.files, *FILES), "units": units})
