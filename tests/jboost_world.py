"""Values that the tests of the cache service share."""

from __future__ import annotations

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
MANIFEST = ArchiveManifest(SCOPE, KEY, ("-Xshare:auto",), "e" * 64, 100_000_000)
