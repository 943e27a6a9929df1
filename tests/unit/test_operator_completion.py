"""Completion offers what the plugin has, and never disturbs a shell."""

import sys

from os_operator.plugin import completion


def test_without_a_cluster_it_offers_nothing_and_says_nothing(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setattr(sys, "argv", ["kubectl_complete-warmroot", "status", ""])
    completion.main()
    said = capsys.readouterr()
    assert (said.out, said.err) == (":4\n", "")


def test_half_a_verb_is_completed_without_asking_anybody():
    def nobody():
        raise AssertionError("the cluster was asked")

    assert completion.complete(["wh"], nobody) == [
        "why\tSay why a node is where it is, from its labels to what you can do about it",
        ":4",
    ]
    assert completion.complete([], nobody)[-1] == ":4"
