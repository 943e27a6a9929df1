"""The one named reason for which a pod is injected, or left as it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """What became of a pod, for metrics, the audit log and people. docs/java-injection.md says what to do."""

    INJECTED = "Injected"
    """The agent was added."""
    ALREADY_INJECTED = "AlreadyInjected"
    """It has all that would be added."""
    NOT_SELECTED = "NotSelected"
    """No JavaCache selects it, and it names none."""
    UNKNOWN_CACHE = "UnknownCache"
    """It names a JavaCache that its namespace does not have."""
    CONFLICTING = "Conflicting"
    """Several JavaCaches select it, and it names none."""
    OPTED_OUT = "OptedOut"
    """Its label or annotation says so."""
    OFF = "Off"
    """Its JavaCache is off."""
    WINDOWS = "Windows"
    """It is for Windows nodes."""
    STATIC_POD = "StaticPod"
    """It shows what a node started from a file: a change of it changes nothing there."""
    HOST_NETWORK = "HostNetwork"
    """It has its node's network, from which the cache service lets nobody in."""
    NAME_TAKEN = "NameTaken"
    """It has containers or volumes by our names: wired by hand, or somebody else's."""
    NO_CONTAINER = "NoContainer"
    """It has none of the containers that the JavaCache names."""
    ENTRYPOINT_UNKNOWN = "EntrypointUnknown"
    """The container has no `command`: what its image starts can't be seen from here."""
    NOT_JAVA = "NotJava"
    """The container's command is not one of java."""
    PATH_TAKEN = "PathTaken"
    """The container has a volume where the agent's files would be."""
    REFERENCED = "Referenced"
    """The container uses $(JDK_JAVA_OPTIONS) elsewhere, which would change with it."""
    DISK_LIMIT = "DiskLimit"
    """The pod's limit of ephemeral storage has no room for an archive."""
    NOTHING_GAINED = "NothingGained"
    """Archives gained too little: but for one pod in each half hour all start as they are."""
    UNREADABLE = "Unreadable"
    """It is not of a form that we know."""
    MISTAKE = "Mistake"
    """Our own mistake: the log has it."""


@dataclass(frozen=True)
class Left:
    """Why a pod, or a container of it, is left as it is. `why` is for a person."""

    reason: Reason
    why: str
