"""The cache service: it learns from Java pods which classes they load and serves archives that fit them.

`core` decides (pure), `store` keeps objects in a directory or in S3, `signing` holds the private keys. The
modules here are the service's parts without HTTP: `catalogue` is for pods, `builds` for builders, `status`
for people, `garbage` deletes. `web` serves them over HTTP; `local` and `cli` are the command line `jboost`.
Archives are built by the pod agent (`jboost_agent`), not here.
"""
