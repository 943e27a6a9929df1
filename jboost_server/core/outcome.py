"""The one named reason that every start has: a hit, or why not."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """How the start of one pod ended, for its status, for metrics and for people."""

    HIT = "hit"
    """It starts from an archive."""
    LEARNING = "learning"
    """It records for an archive to come."""
    BUILD = "build"
    """Another JDK build than the archive's."""
    COOPS = "coops"
    """Another layout of objects: pointer compression, headers, alignment, heap of 32 GB or more."""
    GC = "gc"
    """A collector of another family."""
    CLASSPATH = "classpath"
    """Other jars, or the same in another order."""
    MODULE_OPTS = "module-opts"
    """Other module options."""
    AGENT = "agent"
    """Other agents or debuggers."""
    CPU = "cpu"
    """Another set of CPU features, where the archive holds machine code."""
    MISSING = "missing"
    """There is no archive yet, or it was withdrawn."""
    SIGNATURE = "signature"
    """The archive or its manifest is not what was signed."""
    PREFLIGHT = "preflight"
    """The JVM refused the archive when it was tried."""
    CRASH = "crash"
    """It started from the archive, and soon its JVM died of SIGILL, SIGSEGV or SIGABRT."""
    BUDGET = "budget"
    """Time ran out."""
    SERVER = "server"
    """The cache service did not answer, or not sensibly."""
    OFF = "off"
    """Switched off, or nothing to be done with such a JVM."""
