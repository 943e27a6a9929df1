"""What a machine must have before demo and tests run, and how it gets there.

Runs before anything is installed: only the standard library (and `warmroot.errors`) is imported here.
`plan` says what is missing, `__main__` prints that and then installs it from package registries alone.
"""
