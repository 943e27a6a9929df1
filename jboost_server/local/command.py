"""A person's java command: which runtime, which jar, and where the program's own arguments begin."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from warmroot.errors import NotInstalled, UserError

_WITH_VALUE = {
    *("-cp", "-classpath", "--class-path", "-p", "--module-path", "--upgrade-module-path"),
    *("--add-modules", "--limit-modules", "--enable-native-access", "--add-reads", "--add-exports"),
    *("--add-opens", "--patch-module", "-d", "--describe-module"),
}
_CLASS_PATH = {"-cp", "-classpath", "--class-path"}
_NOT_A_NAME = re.compile(r"[^a-z0-9.-]+")
_VERSION_SUFFIX = re.compile(r"-\d[a-z0-9.+-]*$")
_FEATURE = re.compile(r"for \S+ JRE \((?:1\.)?(\d+)")
_JAR = "-jar"


@dataclass(frozen=True)
class JavaCommand:
    """`java OPTIONS -jar JAR ARGUMENTS`, or a main class or module in place of the jar.

    `java` is the launcher's file. `options` go to the JVM; `target` names what is started: `-jar JAR`,
    `MAIN`, `-m MODULE`, or nothing for commands like `java -version`.
    """

    java: Path
    options: tuple[str, ...]
    target: tuple[str, ...]
    arguments: tuple[str, ...]

    @property
    def words(self) -> tuple[str, ...]:
        """The command as it is started."""
        return (str(self.java), *self.options, *self.target, *self.arguments)

    @property
    def jar(self) -> Path | None:
        """The jar that is started."""
        return Path(self.target[1]) if self.target[:1] == (_JAR,) and len(self.target) > 1 else None

    def with_options_first(self, options: Sequence[str]) -> JavaCommand:
        """The same with more options, over which the person's own win."""
        return JavaCommand(self.java, (*options, *self.options), self.target, self.arguments)

    def absolute(self) -> JavaCommand:
        """The same from any working directory: JDKs compare class paths as they are spelled."""
        options = list(self.options)
        for at, option in enumerate(options):
            name, equals, value = option.partition("=")
            if name == "--class-path" and equals:
                options[at] = f"{name}={_absolute(value)}"
            elif at and options[at - 1] in _CLASS_PATH:
                options[at] = _absolute(option)
        jar = self.jar
        target = (_JAR, str(jar.absolute())) if jar is not None else self.target
        return JavaCommand(self.java, tuple(options), target, self.arguments)

    def with_jar(self, jar: Path) -> JavaCommand:
        """The same with another jar."""
        return JavaCommand(self.java, self.options, (_JAR, str(jar)), self.arguments)

    def group(self) -> str:
        """The application's name where none is given: its jar's without the version, or its main class."""
        if self.jar is not None:
            name = _VERSION_SUFFIX.sub("", self.jar.stem.lower())
        else:
            name = self.target[-1].rpartition("/")[2].rpartition(".")[2].lower() if self.target else ""
        name = _NOT_A_NAME.sub("-", name).strip("-.")[:100].strip("-.")
        return name if name and name != "archives" else "application"


def parse(words: Sequence[str]) -> JavaCommand:
    """The command in these words.

    Raises:
        UserError: they are no java command, or there is no such launcher.
    """
    if not words:
        raise UserError(
            "there is no command", hint="put the application's own after `--`: -- java -jar app.jar"
        )
    if Path(words[0]).name not in {"java", "java.exe"}:
        raise UserError(
            f"{words[0]} is not java",
            hint="name the java command itself; for a script that starts java, take the line that it runs",
        )
    found = shutil.which(words[0])
    if found is None:
        raise UserError(f"there is no program {words[0]}", hint="install a JDK, or give java's whole path")
    # Not resolved: a launcher finds its runtime by the path that it was started by.
    options, rest = _split(list(words[1:]))
    count = 2 if rest[:1] in ([_JAR], ["-m"], ["--module"]) else 1
    return JavaCommand(Path(found).absolute(), tuple(options), tuple(rest[:count]), tuple(rest[count:]))


def _absolute(class_path: str) -> str:
    entries = class_path.split(os.pathsep)
    return os.pathsep.join(str(Path(entry).absolute()) for entry in entries)


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """The JVM's options, and the rest that begins with what is started."""
    at = 0
    while at < len(words):
        word = words[at]
        if word in {_JAR, "-m", "--module"} or not word.startswith(("-", "@")):
            break
        at += 2 if word in _WITH_VALUE else 1
    return words[:at], words[at:]


def feature(java: Path) -> int:
    """The JDK's feature version: 17, 21, 25. No JVM is started for it.

    Raises:
        NotInstalled: this is no HotSpot launcher, or it does not run.
    """
    hint = "the application can still be started plainly, by its own command"
    try:
        done = subprocess.run(
            [java, "-Xinternalversion"], capture_output=True, text=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(f"{java} does not run: {error}", hint=hint) from error
    match = _FEATURE.search(done.stdout)
    if match is None:
        raise NotInstalled(f"{java} does not say which JDK it is", hint=hint)
    return int(match[1])


def is_spring_boot(jar: Path) -> bool:
    """Whether Spring Boot starts it, extracted or not."""
    try:
        with zipfile.ZipFile(jar) as archive:
            return b"Spring-Boot-Version:" in archive.read("META-INF/MANIFEST.MF")
    except (OSError, KeyError, zipfile.BadZipFile):
        return False


def is_fat_jar(jar: Path) -> bool:
    """Whether this is Spring Boot's single jar, whose classes lie in jars inside of it."""
    try:
        with zipfile.ZipFile(jar) as archive:
            return any(
                name.startswith(("BOOT-INF/classes/", "WEB-INF/lib-provided/")) for name in archive.namelist()
            )
    except (OSError, zipfile.BadZipFile):
        return False
