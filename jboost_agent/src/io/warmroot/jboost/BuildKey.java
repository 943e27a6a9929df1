package io.warmroot.jboost;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * Everything in which this start and an archive must agree; byte for byte what jboost_server/core/buildkey.py
 * makes of the same facts. What the service would refuse is refused here, with words.
 */
final class BuildKey {
    private static final int TEXT = 4096;
    private static final int MOST = 4 << 20;

    final Jvm jvm;
    final Map<String, Object> tree;
    /** The only form of the key. */
    final byte[] bytes;
    /** The key's name: sha256 of its canonical form. */
    final String digest;

    BuildKey(Jvm jvm, Ergonomics ergonomics, List<ClassPath.Jar> jars, ModuleOptions options) throws Refusal {
        text("the JVM's own description", jvm.internalVersion, Outcome.OFF);
        List<Object> path = new ArrayList<>(jars.size());
        for (ClassPath.Jar jar : jars) {
            text("a class path's entry", jar.path, Outcome.CLASSPATH);
            path.add(List.of(jar.path, jar.size, Math.max(0, jar.mtime), jar.fingerprint));
        }
        for (String option : options.modules) {
            text("a module option", option, Outcome.MODULE_OPTS);
        }
        for (String agent : options.agents) {
            text("an agent's name", agent, Outcome.AGENT);
        }
        this.jvm = jvm;
        // Caches of ours hold no machine code that knows a CPU (Flags.common), so `cpu` is empty.
        tree = Map.of("jvm", jvm.tree(), "ergonomics", ergonomics.tree(), "classPath", path, "moduleOptions",
                options.modules, "agents", options.agents, "cpu", List.of());
        bytes = Json.canonical(tree);
        if (bytes.length > MOST) {
            throw new Refusal(Outcome.CLASSPATH, "a build key of more than " + MOST + " bytes");
        }
        digest = Hex.of(Hashing.of(bytes));
    }

    private static void text(String what, String value, Outcome outcome) throws Refusal {
        boolean fine = !value.isEmpty() && value.codePointCount(0, value.length()) <= TEXT;
        for (int at = 0; at < value.length() && fine; at++) {
            char c = value.charAt(at);
            boolean pair = Character.isHighSurrogate(c) && at + 1 < value.length()
                    && Character.isLowSurrogate(value.charAt(at + 1));
            fine = c >= ' ' && c != 0x7f && (pair || !Character.isSurrogate(c));
            at += pair ? 1 : 0;
        }
        if (!fine) {
            throw new Refusal(outcome, what + " has no characters, too many, or some that are no text");
        }
    }
}
