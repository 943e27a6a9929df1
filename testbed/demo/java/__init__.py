"""The demo's second half: a stock Spring Boot service starts cold, teaches the cache service, starts warm.

`bed` has what it runs on, `pod` one start of one pod, `story` the acts, `show` the table. Only the kubelet is
missing: containers are processes, but the pod agent, the cache service, the JDKs and the application are the
real ones.
"""
