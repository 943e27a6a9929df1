"""The pod agent: a small Java program without dependencies that runs in the application's own image.

Its sources are in `src`; `build` makes the one jar of them. It decides about a start (`fetch`), sends what a
JVM learned (`record`), builds archives (`build`) and explains (`doctor`). No Python of ours runs in a pod.
"""
