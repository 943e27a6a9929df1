"""The controller of JavaCaches: a process of its own, which under a Lease makes builders and writes statuses.

What it does is decided in `jboost_server/core/control`. Here are what it sees (`watching` the API server,
`service` the cache service, `gather` both as a world), what it writes (`act`), its figures (`metrics`) and
the process (`loop`, `main`). It knows the cache service by its requests alone, and no archive.
"""
