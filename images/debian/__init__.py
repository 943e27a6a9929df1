"""A root file system from Debian packages."""
