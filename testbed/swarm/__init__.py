"""Machines by the hundred, in one process: each follows docs/node-protocol.md and fails as its fate says.

`machine` is the machine and `fleet` all of them, behind the ports of `ports`: in virtual time on a store in
memory (`tests/sim`), or in real time on a real API server (`clock`, `live`, `pods`). `bed` puts the latter
together with a control plane and the operator's own process; `judge` reads from the audit log whether the
operator kept its promises, and knows none of the rest. Real proxies, disks and boot loaders are
`testbed.machine`'s.
"""
