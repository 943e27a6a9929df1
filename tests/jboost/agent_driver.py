"""Single functions of the agent, called from Python: one JVM answers line by line; examples are cheap."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jboost_agent.build import agent_jar

_DRIVER = """
package io.warmroot.jboost;
import java.io.*; import java.nio.charset.StandardCharsets; import java.nio.file.Path; import java.util.*;
public final class Driver {
  public static void main(String[] arguments) throws Exception {
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      Object answer;
      try { answer = answer(Json.object(line.getBytes(StandardCharsets.UTF_8))); }
      catch (Refusal refusal) { answer = Map.of("refused", refusal.getMessage()); }
      catch (Json.Odd odd) { answer = Map.of("odd", odd.getMessage()); }
      System.out.writeBytes(Json.canonical(answer)); System.out.println(); System.out.flush();
    }
  }
  static Object answer(Map<String, Object> q) throws Exception {
    switch ((String) q.get("do")) {
      case "json": return Base64.getEncoder().encodeToString(
          Json.canonical(Json.parse(Base64.getDecoder().decode((String) q.get("bytes")))));
      case "options": {
        int feature = (int) Json.integer(q.get("feature"), "feature");
        ModuleOptions options = new ModuleOptions(Json.strings(q.get("options"), "o"), feature);
        return List.of(options.modules, options.agents);
      }
      case "key": return Base64.getEncoder().encodeToString(key(q).bytes);
      case "file": return Words.ofFile((String) q.get("text"));
      case "variable": return Words.ofVariable((String) q.get("text"));
      case "quoted": return Words.quoted((String) q.get("text"));
      case "command": {
        CommandLine line = CommandLine.of(Json.strings(q.get("words"), "w"), null);
        return List.of(line.options, line.target, line.arguments);
      }
      case "image": return new OptionsFile(Path.of("/"),
          CommandLine.of(Words.ofVariable((String) q.get("variable")), null)).text(List.of());
      case "off": {
        String version = (String) q.get("version");
        String[] words = Json.strings(q.get("words"), "w").toArray(new String[0]);
        return List.of(Start.old(version), (long) Start.off(version, words, (String) q.get("image")));
      }
      case "jars": return jars(ClassPath.jars((String) q.get("path"), new FileNotes()));
      case "sampled": return Jvm.sampled(Path.of((String) q.get("path")));
      case "libjvm": return Jvm.libjvm(Jvm.library(Path.of((String) q.get("path"))));
      default: throw new IllegalArgumentException();
    }
  }
  static BuildKey key(Map<String, Object> q) throws Exception {
    List<ClassPath.Jar> jars = new ArrayList<>();
    for (Object each : Json.list(q.get("jars"), "jars")) {
      List<Object> jar = Json.list(each, "jar");
      long size = (Long) jar.get(1), mtime = (Long) jar.get(2);
      jars.add(new ClassPath.Jar((String) jar.get(0), size, mtime, (String) jar.get(3)));
    }
    Jvm jvm = new Jvm((String) q.get("version"), (String) q.get("libjvm"), (Long) q.get("size"),
        (String) q.get("digest"));
    ModuleOptions options = new ModuleOptions(Json.strings(q.get("options"), "o"), jvm.feature);
    return new BuildKey(jvm, new Ergonomics((String) q.get("table")), jars, options);
  }
  static Object jars(List<ClassPath.Jar> jars) {
    List<Object> all = new ArrayList<>();
    for (ClassPath.Jar jar : jars) all.add(List.of(jar.path, jar.size, jar.mtime, jar.fingerprint));
    return all;
  }
}
"""


class Driver:
    """The agent's functions."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def __call__(self, do: str, **question: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": do, **question}) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, "the driver died"
        return json.loads(answer)

    def canonical(self, data: bytes) -> bytes | None:
        """What the agent makes of JSON; None if it refuses it."""
        answer = self("json", bytes=base64.b64encode(data).decode())
        return base64.b64decode(answer) if isinstance(answer, str) else None


@contextmanager
def driving(folder: Path, jdk: Path) -> Iterator[Driver]:
    """A JVM with the agent's classes, in this folder."""
    source = folder / "Driver.java"
    source.write_text(_DRIVER)
    jar = agent_jar()
    subprocess.run([jdk / "bin/javac", "--release", "17", "-cp", jar, "-d", folder, source], check=True)
    command = [jdk / "bin/java", "-cp", f"{jar}:{folder}", "io.warmroot.jboost.Driver"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", cwd=folder
    ) as process:
        yield Driver(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(20) == 0
