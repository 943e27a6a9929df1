"""What every part shares: API models, release format, disk format, the Cluster port, the errors.

No part's own logic lives here. The parts (`os_operator`, `os_proxy`, `images`) never import one
another; they meet in this package and in the Kubernetes API.
"""

__version__ = "0.1.0"
