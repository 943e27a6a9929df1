"""A node's presence in the Kubernetes API, behind a port.

`presence` is the port, `simulated` its adapter that needs neither root nor containers: a real Node, Lease and
pod life under the node's own credential, so that the Node authorizer, NodeRestriction and the admission
policies judge it like any kubelet. `status` builds what it writes (pure), `token` fetches the projected token
of a pod that is a real process here. What runs on the machine itself is `testbed.machine`'s.
"""
