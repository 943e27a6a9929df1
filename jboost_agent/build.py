"""Makes the agent's jar from its sources: the same sources and compiler give the same bytes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from warmroot.cache import cache_dir
from warmroot.errors import NotInstalled, StepFailed

SOURCES = Path(__file__).resolve().parent / "src"
MAIN = "io.warmroot.jboost.Start"
RELEASE = 17
"""The oldest Java that runs the agent."""
OLD_RELEASE = 8
"""The oldest Java that the jar's beginning tells that it is too old."""
_OLD = ("Start.java", "Words.java")
LINT = ("--release", str(RELEASE), "-Xlint:all", "-Werror", "-encoding", "UTF-8")
# A cold JVM takes a dozen milliseconds for its first concatenation otherwise.
_FLAGS = (*LINT, "-XDstringConcat=inline", "-g:source,lines")
_OLD_LINT = ("--release", str(OLD_RELEASE), "-Xlint:all,-options", *LINT[3:])
_OLD_FLAGS = (*_OLD_LINT, *_FLAGS[len(LINT) :])
_MANIFEST = f"Manifest-Version: 1.0\r\nMain-Class: {MAIN}\r\n\r\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_JAR = "warmroot-agent.jar"


def sources() -> list[Path]:
    """Every Java file of the agent, sorted."""
    return sorted(SOURCES.rglob("*.java"))


def agent_jar(environ: Mapping[str, str] = os.environ) -> Path:
    """The agent's jar, compiled at the first call of these sources and kept in the user's cache folder.

    A jar that lies beside this module, as an image may have it, is taken as it is.

    Raises:
        NotInstalled: there is neither a jar nor a compiler.
        StepFailed: the sources do not compile.
    """
    shipped = Path(__file__).resolve().parent / _JAR
    return shipped if shipped.exists() else cached(cache_dir(environ), environ)


def cached(cache: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """The jar of these very sources below `cache`; whoever finds none there makes it, and nobody sees a part.

    Raises:
        NotInstalled: there is neither a jar nor a compiler.
        StepFailed: the sources do not compile.
    """
    target = cache / "agent" / _digest() / _JAR
    if target.exists():
        return target
    javac = find_javac(environ)
    if javac is None:
        raise NotInstalled(
            "there is no Java compiler to make the pod agent with",
            hint=f"install a JDK of {RELEASE} or later, or set JAVA_HOME to one",
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    jar(javac, target)
    return target


def find_javac(environ: Mapping[str, str] = os.environ) -> Path | None:
    """The compiler of JAVA_HOME, or the one on PATH."""
    if home := environ.get("JAVA_HOME"):
        candidate = Path(home) / "bin" / "javac"
        if candidate.exists():
            return candidate
    found = shutil.which("javac", path=environ.get("PATH"))
    return Path(found) if found else None


def jar(javac: Path, target: Path) -> None:
    """Compiles the sources and puts the jar at `target` by rename. Same sources and compiler, same bytes.

    Raises:
        StepFailed: the compiler can't be started, or it found something.
    """
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        classes = Path(folder) / "classes"
        _compile(javac, classes, _FLAGS)
        _compile(javac, classes, _OLD_FLAGS, _old())
        partial = Path(folder) / _JAR
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(zipfile.ZipInfo("META-INF/MANIFEST.MF", _EPOCH), _MANIFEST)
            for path in sorted(classes.rglob("*.class")):
                entry = zipfile.ZipInfo(path.relative_to(classes).as_posix(), _EPOCH)
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, path.read_bytes())
        partial.replace(target)


def lint(javac: Path) -> None:
    """Compiles the sources, with every warning an error, and keeps nothing.

    Raises:
        StepFailed: the compiler found something; the message says what.
    """
    with tempfile.TemporaryDirectory() as folder:
        _compile(javac, Path(folder), LINT)
        _compile(javac, Path(folder), _OLD_LINT, _old())


def _old() -> list[Path]:
    return [path for path in sources() if path.name in _OLD]


def _compile(javac: Path, classes: Path, flags: tuple[str, ...], files: Sequence[Path] = ()) -> None:
    """All sources; or these, to which the classes that are there are known."""
    known = ["-cp", str(classes)] if files else []
    command = [str(javac), *flags, "-d", str(classes), *known, *map(str, files or sources())]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise StepFailed(f"{javac} can't be started: {error}") from error
    if done.returncode:
        raise StepFailed(f"the pod agent does not compile:\n{done.stdout}{done.stderr}")


def _digest() -> str:
    """A name for sources and flags, in hex."""
    digest = hashlib.sha256(repr((_FLAGS, _OLD_FLAGS, _OLD)).encode())
    for path in sources():
        digest.update(f"{path.relative_to(SOURCES)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:32]
