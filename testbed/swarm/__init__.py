"""Machines by the hundred, in one process: each follows docs/node-protocol.md and fails as its fate says.

`machine` is the machine and `fleet` all of them, behind the ports of `ports`; `tests/sim` has them in virtual
time on a store in memory. `judge` reads from an audit log whether an operator kept its promises, and knows
none of the rest. Real proxies, disks and boot loaders are `testbed.machine`'s.
"""
