"""The options of a JVM, reduced to those on which an archive depends.

Before 24 a static archive is used whatever agents watch and whichever packages are opened. From 24 on each of
these drops the whole cache if only one of training and run has it, unless both always get `FIXED_MODULES`:
then one cache serves with and without Java agents, JMX and JFR (tried on 17 and 25).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

FIXED_MODULES = ("java.instrument", "jdk.jfr", "jdk.management.agent")
"""Given with `--add-modules` to every JVM from 24 on that we train or start; so they tell nothing apart."""
FIRST_AOT = 24
_ALWAYS = {"--limit-modules", "--upgrade-module-path", "--module-path", "--patch-module"}
_FROM_AOT = {"--add-modules", "--add-opens", "--add-exports", "--add-reads", "--enable-native-access"}
_LISTS = {"--add-modules", "--limit-modules", "--enable-native-access"}
_SPELLINGS = {"-p": "--module-path"}
_BOOT = re.compile(r"-Xbootclasspath/a:.+")
_NATIVE = re.compile(r"-agent(?:lib|path):([^=]+)(?:=.*)?")


@dataclass(frozen=True)
class Options:
    """What a build key holds of a command line: `module_options` sorted, `agents` in their order."""

    module_options: tuple[str, ...]
    agents: tuple[str, ...]


def normalise(arguments: Sequence[str], *, feature: int) -> Options:
    """The normal form of a JVM's options, main class and program arguments left out.

    Spellings with `=` and with a blank, order, repetition and lists by comma make no difference.
    """
    modules: set[str] = set()
    agents: list[str] = []
    matters = _ALWAYS | (_FROM_AOT if feature >= FIRST_AOT else set())
    for name, value in _pairs(arguments):
        if name in matters:
            values = value.split(",") if name in _LISTS else [value]
            modules.update(f"{name}={each}" for each in values if each)
        elif not value and _BOOT.fullmatch(name):
            modules.add(name)
        elif not value and (agent := _agent(name, feature)):
            agents.append(agent)
    modules -= {f"--add-modules={name}" for name in FIXED_MODULES}
    return Options(tuple(sorted(modules)), tuple(agents))


def _pairs(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Long options with their values; everything else with an empty one."""
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        name = _SPELLINGS.get(name, name)
        if name not in _ALWAYS | _FROM_AOT:
            yield argument, ""
        else:
            yield name, value if equals else next(rest, "")


def _agent(argument: str, feature: int) -> str:
    """An agent that a Java module does not stand for; its options do not change an archive."""
    debugger = argument.startswith(("-agentlib:jdwp", "-Xrunjdwp"))
    if debugger:
        return "jdwp" if feature >= FIRST_AOT else ""
    native = _NATIVE.fullmatch(argument)
    return f"native:{native[1]}" if native else ""
