"""The object store: all state of the cache service. A directory, or S3; both pass one contract test.

`port` says what a store promises, `directory` and `s3` keep it. What an object means is not known here.
"""
