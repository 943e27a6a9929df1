"""The thin shell: gather the world, carry actions out, write status and events, serve probes and metrics."""
