"""What demo, tests and benchmarks run on: real control plane, machines with real disk bytes, release servers.

Nothing here ships to a cluster; no part imports it.
"""
