"""The cache service: it learns from Java pods which classes they load and serves archives that fit them.

`core` decides (pure), `store` keeps objects in a directory or in S3, `signing` holds the private keys.
There is no server, builder or command line yet.
"""
