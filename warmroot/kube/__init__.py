"""The Cluster port and its adapters.

`cluster` is what every part uses: objects as plain JSON, typed errors, watches. `transport` brings the
bytes there and back: over the `kubernetes` client where there is room for it (operator, test bed), over
`requests` in the proxy. `lease` is leader election. No decision about nodes or releases lives here.
"""
