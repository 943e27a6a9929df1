"""What `jboost serve` asks of archives, by where it runs."""

import pytest

from jboost_server.local import serving
from jboost_server.local.home import Home


@pytest.mark.parametrize(
    ("kubernetes", "wanted", "recorders", "saved"),
    [(True, None, 3, 2000), (True, 0, 3, 0), (False, None, 1, 0), (False, 250, 1, 250)],
)
def test_in_a_cluster_an_archive_has_to_save_what_an_init_container_costs(
    monkeypatch, tmp_path, kubernetes, wanted, recorders, saved
):
    served = []
    monkeypatch.setattr(serving.main, "serve", served.append)
    serving.serve(
        Home(tmp_path / "home"),
        "127.0.0.1:0",
        str(tmp_path / "store"),
        (),
        kubernetes=kubernetes,
        s3_endpoint="",
        redirect=False,
        recorders=None,
        min_gain=10,
        min_saved=wanted,
    )
    (options,) = served
    assert (options.policy.recorders, options.policy.min_saved) == (recorders, saved)
