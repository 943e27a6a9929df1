"""A person's java command: which runtime, which jar, and where the program's own arguments begin."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from jboost_server.local import argfile
from warmroot.errors import NotInstalled, UserError

_WITH_VALUE = {
    *("-cp", "-classpath", "--class-path", "-p", "--module-path", "--upgrade-module-path"),
    *("--add-modules", "--limit-modules", "--enable-native-access", "--add-reads", "--add-exports"),
    *("--add-opens", "--patch-module", "-d", "--describe-module", "--source"),
}
_PATHS = {"-cp", "-classpath", "--class-path", "-p", "--module-path", "--upgrade-module-path"}
_MODULE = ("-m", "--module")
_NO_FILES = "--disable-@files"
_NOT_A_NAME = re.compile(r"[^a-z0-9.-]+")
_VERSION_SUFFIX = re.compile(r"-\d[a-z0-9.+-]*$")
_FEATURE = re.compile(r"for \S+ JRE \((?:1\.)?(\d+)")
_JAR = "-jar"


@dataclass(frozen=True)
class JavaCommand:
    """`java OPTIONS -jar JAR ARGUMENTS`, or a main class or module in place of the jar.

    `java` is the launcher's file. `options` go to the JVM; `target` names what is started: `-jar JAR`,
    `MAIN`, `-m MODULE`, `--module=MODULE`, or nothing for commands like `java -version`. Argument files are
    expanded.
    """

    java: Path
    options: tuple[str, ...]
    target: tuple[str, ...]
    arguments: tuple[str, ...]

    @property
    def words(self) -> tuple[str, ...]:
        """The command as it is started."""
        before = (*self.options, *self.target)
        if _NO_FILES not in self.options:  # a word with an @ that names no file any more
            before = tuple(f"@{word}" if word.startswith("@") and word != "@" else word for word in before)
        return (str(self.java), *before, *self.arguments)

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
            if equals and name.startswith("--") and name in _PATHS:
                options[at] = f"{name}={_absolute(value)}"
            elif at and options[at - 1] in _PATHS:
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
            main = self.target[-1].removesuffix(".java") if self.target else ""
            name = re.split(r"[/.=]", main)[-1].lower()
        name = _NOT_A_NAME.sub("-", name).strip("-.")[:100].strip("-.")
        return name if name and name != "archives" else "application"


def parse(words: Sequence[str]) -> JavaCommand:
    """The command in these words.

    Raises:
        UserError: they are no java command, there is no such launcher, or an argument file can't be read.
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
    return JavaCommand(Path(found).absolute(), *_parts(_expanded(words[1:])))


def _absolute(class_path: str) -> str:
    entries = class_path.split(os.pathsep)
    return os.pathsep.join(str(Path(entry).absolute()) for entry in entries)


def _expanded(words: Sequence[str]) -> list[str]:
    """The same with what argument files hold, which are looked for before the program's own arguments only.

    Raises:
        UserError: one can't be read.
    """
    found: list[str] = []
    for at, word in enumerate(words):
        if _parts(found)[1] or _NO_FILES in found:
            return [*found, *words[at:]]
        if not word.startswith("@") or word == "@":
            found.append(word)
        elif word.startswith("@@"):
            found.append(word[1:])
        else:
            found += argfile.read(word[1:])
    return found


def _parts(words: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Options, what is started, and its arguments, as the launcher of JDK 17 to 25 tells them apart."""
    options: list[str] = []
    jar: tuple[str, ...] = ()
    at = 0
    while at < len(words) and words[at].startswith("-"):
        word = words[at]
        if word in _MODULE or word.startswith("--module="):
            end = at + (2 if word in _MODULE else 1)
            return tuple(options), tuple(words[at:end]), tuple(words[end:])
        end = at + (2 if word in _WITH_VALUE else 1)
        if word == _JAR:
            jar = (_JAR,)  # more options may come before its name
        else:
            options += words[at:end]
        at = end
    if at >= len(words):
        return (*options, *jar), (), ()
    return tuple(options), (*jar, words[at]), tuple(words[at + 1 :])


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
    return "Spring-Boot-Version" in _main_attributes(jar)


def is_fat_jar(jar: Path) -> bool:
    """Whether this is Spring Boot's single jar, whose classes lie in jars inside of it.

    The application's jar of an extracted layout keeps `Spring-Boot-Version` and loses what is asked for here.
    """
    return {"Start-Class", "Spring-Boot-Classes"} <= _main_attributes(jar)


def _main_attributes(jar: Path) -> set[str]:
    """Names in the first section of its manifest; none if it has no manifest that can be read."""
    try:
        with zipfile.ZipFile(jar) as archive:
            manifest = archive.read("META-INF/MANIFEST.MF").decode(errors="replace")
    except (OSError, KeyError, zipfile.BadZipFile):
        return set()
    main = takewhile(bool, manifest.splitlines())  # an empty line ends the section
    return {line.partition(":")[0] for line in main}
