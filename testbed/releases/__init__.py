"""A release server on loopback: static files with ranges, and on demand one that lies, stalls or is down."""
