from dataclasses import replace

import pytest

from tests.unit.test_release_manifest import MANIFEST
from warmroot.errors import Replayed
from warmroot.release.policy import may_install

SEVEN = MANIFEST
"""A release with sequence 7."""


@pytest.mark.parametrize(("running", "floor"), [(0, 0), (6, 7), (7, 7)])
def test_a_newer_or_the_same_release_may_be_installed(running, floor):
    may_install(SEVEN, "sha256:7", running_seq=running, floor=floor)


@pytest.mark.parametrize(("running", "floor"), [(8, 0), (0, 8), (6, 8)])
def test_a_release_older_than_what_ran_or_was_confirmed_is_replayed(running, floor):
    with pytest.raises(Replayed):
        may_install(SEVEN, "sha256:7", running_seq=running, floor=floor)


def test_a_release_that_was_confirmed_here_may_come_back():
    may_install(SEVEN, "sha256:7", running_seq=9, floor=9, confirmed={"sha256:7"})


@pytest.mark.parametrize("confirmed", [set(), {"sha256:7"}])
def test_nothing_below_the_running_release_s_min_seq_comes_back(confirmed):
    meant = replace(SEVEN, allow_downgrade_from=9)
    with pytest.raises(Replayed, match="bars all below 8"):
        may_install(meant, "sha256:7", running_seq=9, floor=9, lowest=8, confirmed=confirmed)


def test_a_signed_downgrade_holds_for_the_sequences_it_names():
    meant = replace(SEVEN, allow_downgrade_from=9)
    may_install(meant, "sha256:7", running_seq=9, floor=9)
    with pytest.raises(Replayed):
        may_install(meant, "sha256:7", running_seq=9, floor=10)
