"""Java applications that tests, demo and benchmarks start: ours and servers nobody here wrote.

`application` says what one is, `running` starts it and looks at it, `traffic` sends it requests, `spring` and
`foreign` build or fetch it into the cache. Standard library only: set-up prepares them before anything else
is installed.
"""
