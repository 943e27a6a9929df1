"""Skips this tier where QEMU or GRUB is missing, and prints how many states were compared."""

import pytest

from tests.vm.firmware import Firmware, missing

_AGREED = pytest.StashKey[dict[tuple[str, Firmware], int]]()


def pytest_configure(config):
    config.stash[_AGREED] = {}


def pytest_collection_modifyitems(items):
    reason = missing()
    for item in items:
        if item.get_closest_marker("vm") and reason:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def agreed(request):
    """Notes how many states agreed: `agreed(what, firmware, count)`."""

    def note(what: str, firmware: Firmware, count: int) -> None:
        request.config.stash[_AGREED][what, firmware] = count

    return note


def pytest_terminal_summary(terminalreporter, config):
    counts = config.stash[_AGREED]
    for what in dict.fromkeys(what for what, _ in counts):
        parts = [f"{counts[what, one]} {one.value}" for one in Firmware if (what, one) in counts]
        terminalreporter.write_line(f"{what}: {', '.join(parts)}")
