"""The protocol of docs/jboost-protocol.md over HTTP. Routes are thin; what they decide is decided elsewhere.

`app` puts it together, `routes` has pods', builders' and people's requests, `archives` serves bytes, `bodies`
takes them, `tenancy` says who asks, `refusals` turns errors into answers. `main` runs it.
"""
