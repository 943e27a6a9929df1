"""Workers with a real kubelet, containerd and containers, without a machine of their own.

A worker is a process in namespaces of its own (network, mounts, processes): killing it is pulling its plug.
`network` is the wire between workers and control plane, `settings` what kubelet and containerd are told
(pure), `cgroups` the room that a worker has, `worker` one worker's life, `pods` the images of containers.
Needs root, and control groups of version 1. Nothing outside of these namespaces is changed.
"""
