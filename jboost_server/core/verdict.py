"""Whether a built archive is to serve: it has to beat the plain start, and whatever of its key serves now."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from jboost_server.core import tournament
from jboost_server.core.orders import Form, Order
from jboost_server.core.promotion import Judgement
from jboost_server.core.publication import Publication, State
from jboost_server.core.tournament import NOISE, Recording


def judge(
    order: Order,
    measured: Judgement,
    built: Collection[Publication],
    recordings: Collection[Recording],
) -> Judgement:
    """The verdict on the archive of an order, given what its starts came to beside the plain ones.

    `built` are the other archives of the key. A class list that grew is built of even if that makes starts no
    faster: it has to be as good. Of binary recordings one wins, and `recordings` are those that compete.
    """
    serving = [other for other in built if other.state is State.SERVING]
    if not measured.serve or not serving:
        return measured
    if order.form is Form.AOT:
        return _tournament(order, measured, serving, recordings)
    best = min(other.warm for other in serving)
    if measured.warm * 100 > best * (100 + NOISE):
        why = f"{measured.why}; but the archive that serves starts in {best} ms"
        return replace(measured, serve=False, why=why)
    return measured


def _tournament(
    order: Order, measured: Judgement, serving: Sequence[Publication], recordings: Collection[Recording]
) -> Judgement:
    known = {each.digest: each for each in recordings}
    ours = known.get(order.input)
    if ours is None:
        return replace(measured, serve=False, why="its recording is gone")
    known[order.input] = replace(ours, start=measured.warm)
    served = [known[each.input] for each in serving if each.input in known]
    last_good = served[0].digest if served else None
    found = tournament.judge([known[order.input], *served], last_good)
    if found.winner is None or found.winner.digest != order.input:
        return replace(measured, serve=False, why=f"{measured.why}; but {found.because}")
    return replace(measured, why=f"{measured.why}; {found.because}")
