"""What the webhook adds to a pod, decided from the pod alone: no cluster, no clock, no image is looked at.

`choose` finds the JavaCache, `application` what of a container can be started by the agent, `parts` makes
what is added, `inject` puts it in and takes it out again, `patch` says the difference as RFC 6902 does,
`review` speaks admission.k8s.io/v1. Every pod that is left alone is left for one `reason`.
"""
