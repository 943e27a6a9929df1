"""A model checker over `plan()`: small worlds, everything that may happen to them, every order of it.

`machine` is one node and its proxy as data, `environment` what happens to it, `planner` the real `plan()` on
such a world, `promises` what must hold (they know nothing of the planner), `space` all steps from a world,
`explore` the search.
"""
