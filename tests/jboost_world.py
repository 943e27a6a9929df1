"""Values that the tests of the cache service share."""

from __future__ import annotations

from dataclasses import replace

from jboost_server.core.buildkey import BuildKey, Collectors, Ergonomics, Jar, Jvm
from jboost_server.core.lookup import Scope
from jboost_server.core.manifest import ArchiveManifest

SCOPE = Scope("shop", "orders")
JAR = Jar("/app/app.jar", 20_000, 1_700_000_000, "a" * 64)
LIB = Jar("/app/lib/spring.jar", 900_000, 1_690_000_000, "b" * 64)
KEY = BuildKey(
    jvm=Jvm(17, "amd64", "OpenJDK 64-Bit Server VM (17.0.15+6)", "c" * 40, 129_000_000, "d" * 64),
    ergonomics=Ergonomics(True, True, False, 8, False, Collectors.CLASSIC),
    class_path=(JAR, LIB),
)


def wide_key(jars: int) -> BuildKey:
    """A key whose class path is as long as those of real applications."""
    path = tuple(replace(LIB, path=f"/app/lib/library-{number}.jar") for number in range(jars))
    return replace(KEY, class_path=(JAR, *path))


MANIFEST = ArchiveManifest(SCOPE, KEY, ("-Xshare:auto",), "e" * 64, 100_000_000)
