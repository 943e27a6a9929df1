"""A real Kubernetes control plane on loopback: its binary, its keys, its four programs.

`build` makes the binary, `pki` keys and kubeconfigs, `programs` the command lines, `processes` starts and
ends programs by identity, `plane` puts them together, `audit` reads what the API server wrote down.
Nodes, pods and releases belong to other packages of the test bed.
"""
