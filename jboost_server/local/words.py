"""What each outcome means and what a person does next. `docs/java-warm-start.md` prints the same table."""

from __future__ import annotations

from dataclasses import dataclass

from jboost_server.core.outcome import Outcome


@dataclass(frozen=True)
class Meaning:
    """One sentence each."""

    what: str
    next: str


MEANINGS: dict[Outcome, Meaning] = {
    Outcome.HIT: Meaning("It started from an archive.", "Nothing to do."),
    Outcome.LEARNING: Meaning(
        "It recorded what it loads, for an archive to come; such a start is slower.",
        "Let it serve real requests, then end it; the archive is built after that.",
    ),
    Outcome.BUILD: Meaning(
        "The archive was built for another JDK build, or another vendor's.",
        "Let this JDK learn: its first start records. Pin the JDK if it changes without being asked to.",
    ),
    Outcome.COOPS: Meaning(
        "Object layout differs: pointer compression, headers, alignment, or a heap of 32 GB and more.",
        "Give training and run the same memory limit and the same `-Xmx`.",
    ),
    Outcome.GC: Meaning(
        "The collector is of another family: ZGC reads no archive of the others, nor the others ZGC's.",
        "Use the same collector in training and run.",
    ),
    Outcome.CLASSPATH: Meaning(
        "The jars, or their order, are not those of the archive, or no archive can be made of them.",
        "After a new build of the application: nothing, it learns anew. Else read the line of `why`.",
    ),
    Outcome.MODULE_OPTS: Meaning(
        "Options like `--add-opens` or `--add-modules` differ from those of the training.",
        "Use the same ones in training and run.",
    ),
    Outcome.AGENT: Meaning(
        "A native agent or a debugger is there in only one of training and run.",
        "Train with it, or run without it. Java agents, JMX and JFR make no difference.",
    ),
    Outcome.CPU: Meaning(
        "The archive holds machine code for other CPU features.",
        "Train on the kind of machine that it runs on.",
    ),
    Outcome.MISSING: Meaning(
        "There is no archive for this application yet, or it was withdrawn.",
        "Read `jboost status`: it says whether it learns, builds, or why an archive was refused.",
    ),
    Outcome.SIGNATURE: Meaning(
        "The archive or its manifest is not what the service signed; it was not used.",
        "Compare the public keys of pod and service. If they agree, look for who changed the file.",
    ),
    Outcome.PREFLIGHT: Meaning(
        "The JVM refused the archive when it was tried, before the application started.",
        "Run `jboost explain -- java …` with the application's command: it shows what the JVM said.",
    ),
    Outcome.CRASH: Meaning(
        "The JVM died of SIGILL, SIGSEGV or SIGABRT soon after it had started from the archive.",
        "Read the JVM's `hs_err` file. When enough starts end so the archive is withdrawn from all.",
    ),
    Outcome.BUDGET: Meaning(
        "The time for lookup, download or trial ran out; the application did not wait longer.",
        "Look at the milliseconds by step in `jboost explain`; the next start has what came in time.",
    ),
    Outcome.SERVER: Meaning(
        "The cache service was not reachable, refused the pod's token, or answered nonsense.",
        "Look at the service's log and at the token's audience; then start again.",
    ),
    Outcome.OFF: Meaning(
        "Switched off, or there is nothing to gain with such a JVM or such a command.",
        "The `why` line says which; for a fat jar on JDK 17 add `--extract`.",
    ),
}
