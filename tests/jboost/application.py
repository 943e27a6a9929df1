"""A small Java application of some dozens of classes, compiled in the test, for every JDK from 17 on."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from jboost_agent.build import agent_jar
from tests.java_world import Java
from tests.jboost.service import Service, serving
from tests.waiting import until

JBOOST = [sys.executable, "-c", "from jboost_server.cli import main; main()"]
"""`jboost` as a person has it."""
PATIENT = """
from jboost_server.cli import main
from jboost_server.local import agent, service
agent.PATIENCE = 300.0
service.OWN = service.ELSEWHERE = agent.Budgets(60_000, 60_000, 60_000, 60_000)
main()
"""
JBOOST_PATIENT = [sys.executable, "-c", PATIENT]
"""The same with time for every step: for promises that are none of how long a start waits for us."""
PARTS = 60
DIES_WARM = {"DIES_WARM": "1"}
"""An environment in which a start from an archive dies as of a fault in it: by a write to address 0."""
ANYWHERE = {"BIND": "0.0.0.0"}
"""An environment in which it listens at every address, as in a pod."""
PLAIN_IS_SLOW = {"PLAIN_IS_SLOW": "1"}
"""An environment in which a start without an archive takes a second more.

For tests of the way to a verdict: on a machine that is busy, what a small application gains may not show.
Whether a gain is clear is `promotion.judge`'s to say, which has tests of its own.
"""
_PART = """
package app;
import java.util.*; import java.util.function.*; import java.util.stream.*;
public final class Part%(n)d implements Supplier<String> {
  record Item(int number, String name) { }
  enum Mood { GLAD, SAD }
  public String get() {
    Function<Integer, Item> make = n -> new Item(n, "item " + n + " of " + Mood.values()[n %% 2]);
    Map<Boolean, List<Item>> halves = IntStream.range(0, 4).boxed().map(make)
        .collect(Collectors.partitioningBy(item -> item.number() > %(n)d %% 3));
    return halves.values().stream().map(List::toString).sorted(Comparator.reverseOrder())
        .collect(Collectors.joining(", ", "part %(n)d ", ""));
  }
}
"""
_MAIN = """
package app;
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress; import java.util.*; import java.util.function.Supplier;
public final class Main {
  static int speak() {
    int length = 0;
    for (Supplier<String> part : List.<Supplier<String>>of(%(parts)s)) length += part.get().length();
    return length;
  }
  static boolean warm() {
    List<String> options = java.lang.management.ManagementFactory.getRuntimeMXBean().getInputArguments();
    return options.stream().anyMatch(one -> one.matches("-XX:(SharedArchiveFile|AOTCache)=.*"));
  }
  static void die() throws Exception {
    var field = Class.forName("sun.misc.Unsafe").getDeclaredField("theUnsafe");
    field.setAccessible(true);
    Object unsafe = field.get(null);
    unsafe.getClass().getMethod("putAddress", long.class, long.class).invoke(unsafe, 0L, 0L);
  }
  public static void main(String[] arguments) throws Exception {
    int length = speak();
    if (System.getenv("DIES_WARM") != null && warm()) die();
    if (System.getenv("PLAIN_IS_SLOW") != null && !warm()) Thread.sleep(1000);
    if (arguments[0].equals("broken")) throw new IllegalStateException("no database at db.example:5432");
    if (arguments.length > 1)
      System.out.println(java.lang.management.ManagementFactory.getRuntimeMXBean().getInputArguments());
    if (arguments[0].equals("once")) {
      System.out.println("done, " + length);
      return;
    }
    String host = System.getenv().getOrDefault("BIND", "127.0.0.1");
    var address = new InetSocketAddress(host, Integer.parseInt(arguments[0]));
    HttpServer server = HttpServer.create(address, 0);
    server.createContext("/health", exchange -> {
      byte[] body = ("well, " + length).getBytes();
      exchange.sendResponseHeaders(200, body.length);
      exchange.getResponseBody().write(body);
      exchange.close();
    });
    Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println("told to end")));
    server.start();
    System.out.println("application ready, " + length);
  }
}
"""


def build(folder: Path, jdk: Path) -> Path:
    """The application's jar, compiled for 17, in this folder."""
    sources = folder / "src" / "app"
    sources.mkdir(parents=True)
    for number in range(PARTS):
        (sources / f"Part{number}.java").write_text(_PART % {"n": number})
    parts = ", ".join(f"new Part{number}()" for number in range(PARTS))
    (sources / "Main.java").write_text(_MAIN % {"parts": parts})
    files = sorted(map(str, sources.glob("*.java")))
    subprocess.run(
        [
            jdk / "bin/javac",
            "--release",
            "17",
            "--add-modules",
            "jdk.httpserver",
            "-d",
            folder / "classes",
            *files,
        ],
        check=True,
    )
    jar = folder / "app.jar"
    subprocess.run(
        [
            jdk / "bin/jar",
            "--create",
            "--file",
            jar,
            "--main-class",
            "app.Main",
            "-C",
            folder / "classes",
            ".",
        ],
        check=True,
    )
    return jar


@pytest.fixture(scope="session")
def agent() -> Path:
    """The pod agent's jar, of the sources as they are."""
    return agent_jar()


@pytest.fixture(scope="session")
def jdk17(java: Java) -> Path:
    """A JDK 17 with a compiler; the agent itself runs on it in every test of these."""
    return java.jdk(17, compiler=True).home


@pytest.fixture(scope="session")
def jdk25(java: Java) -> Path:
    """A JDK 25."""
    return java.jdk(25).home


@pytest.fixture(scope="session")
def jar(tmp_path_factory: pytest.TempPathFactory, jdk17: Path) -> Path:
    """The application."""
    return build(tmp_path_factory.mktemp("app"), jdk17)


@pytest.fixture
def service() -> Iterator[Service]:
    """A scripted cache service."""
    with serving() as service:
        yield service


@dataclass
class Running:
    """The application, running."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def well(self) -> bool:
        """Whether it answers."""
        try:
            with urllib.request.urlopen(self.url, timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False


@contextmanager
def running(jdk: Path, jar: Path, port: int, flags: Sequence[str], log: Path) -> Iterator[Running]:
    """The application with these flags, from ready on; it is gone when the block ends."""
    environment = {name: value for name, value in os.environ.items() if name != "JDK_JAVA_OPTIONS"}
    command = [jdk / "bin/java", *flags, "-jar", jar, str(port)]
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment) as process,
    ):
        app = Running(process, f"http://127.0.0.1:{port}/health", log)
        try:
            until(lambda: app.well() or process.poll() is not None, 60, "the application is ready")
            assert process.poll() is None, log.read_text()
            yield app
        finally:
            process.kill()
