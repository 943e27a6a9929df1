"""One machine without Kubernetes: `jboost run` and its like, around the pod agent and the cache service.

`command` reads a person's java command, `home` keeps the folder, `launch` starts the application as if we
were not there, `service` finds or starts the cache service, `agent` calls the pod agent, `words` says what an
outcome means. What is served to whom is decided in the service, what fits in the agent; nothing of it here.
"""
