"""Every line that a proxy logs says which rollout it follows, down to the write of the boot record."""

from __future__ import annotations

import logging


class Following(logging.Filter):
    """Adds `rollout` to what is logged, from the time on that orders name one."""

    def __init__(self) -> None:
        super().__init__()
        self.rollout = ""

    def filter(self, record: logging.LogRecord) -> bool:
        """Lets everything through."""
        if self.rollout:
            record.rollout = self.rollout
        return True


FOLLOWING = Following()
"""One process follows one rollout at a time."""
