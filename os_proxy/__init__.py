"""The node half: one small daemon that stages, activates and confirms releases on its own disk.

`core` is the slot engine (pure), `backends` are disk, boot record, sources and host. `main` is the entry
point. It imports neither pydantic nor the full Kubernetes client: 64 MiB is its promise.
"""
