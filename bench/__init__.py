"""Benchmarks. Each module prints a table with the peer, the limit and us from one run; none fails on time."""
