"""The cluster half: moves nodes to the release that an OS object names.

`core` decides (pure), `shell` gathers, acts and serves. `main` is the entry point.
"""
