"""Releases: manifest, verity tree, delta plan, where bytes come from, and whom to believe.

Bytes in, decision out: `manifest`, `verity`, `blocks` and `policy` are pure. `source` is the port to servers
and files, `trust` the TUF client, `repository` the publisher's side, `fetch` the trust check as a short-lived
child process. This package imports none of them by itself: tuf is memory that the proxy pays for only while
it stages.
"""
