"""docs/reference.md: nothing of the API goes without a word about it."""

import pytest

from warmroot.api import reference
from warmroot.api.reasons import WaitReason

ENUMS = reference.enums()


@pytest.mark.parametrize("name", sorted(ENUMS))
def test_every_word_of_the_api_has_a_meaning_of_its_own(name):
    said = reference.meanings(ENUMS[name])
    assert sorted(said) == sorted(ENUMS[name])
    assert len(set(said.values())) == len(said)


def test_the_page_has_fields_below_lists_with_their_types_and_defaults():
    rows = dict(
        line.strip("| ").split(" | ", 1) for line in reference.render().splitlines() if line[:3] == "| `"
    )
    assert rows["`spec.rollout.waves[].maxFailed`"].startswith("integer | `0` | ")
    assert rows["`status.waiting[].reason`"].startswith("[WaitReason](#waitreason) |  | ")
    assert rows["`spec.rollout.maxUnavailable`"].startswith("integer or string | `1` | ")
    assert rows[f"`{WaitReason.ORDER}`"] == reference.meanings(WaitReason)["Order"]
