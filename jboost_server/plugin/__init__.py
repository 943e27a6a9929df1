"""`kubectl warmroot java`: why a pod starts warm, or not, for the person who has the pod.

`why` decides what is said (pure), `cli` asks the API server and prints. Whoever runs it needs rights to get
the pod and its namespace, and to list JavaCaches; with one to its log more is said. The cache service is not
asked.
"""
