package io.warmroot.jboost;

import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/** What a signed manifest says about one archive; only made of bytes that a trusted key has signed. */
final class Manifest {
    private static final Set<String> FIELDS =
            Set.of("tenant", "group", "key", "flags", "digest", "size", "preflight");

    final List<String> flags;
    final String digest;
    final long size;
    /** Whether enough pods of the same kind have reported success, so that this one need not try. */
    final boolean waived;
    private final Map<String, Object> key;

    private Manifest(Map<String, Object> tree) throws Json.Odd {
        key = Json.object(tree.get("key"), "key");
        flags = Json.strings(tree.get("flags"), "flags");
        digest = Json.string(tree.get("digest"), "digest");
        size = Json.integer(tree.get("size"), "size");
        waived = Json.string(tree.get("preflight"), "preflight").equals("waived");
    }

    /**
     * The archive that fits this start.
     *
     * @throws Refusal it does not: the first part that differs is its outcome
     */
    static Manifest of(byte[] verified, String group, BuildKey key) throws Refusal {
        try {
            Map<String, Object> tree = Json.object(verified);
            if (!tree.keySet().equals(FIELDS) || !Arrays.equals(Json.canonical(tree), verified)) {
                throw new Json.Odd("not in canonical form");
            }
            Manifest manifest = new Manifest(tree);
            if (!Hex.sha256(manifest.digest) || manifest.size < 1) {
                throw new Json.Odd("neither digest nor size");
            }
            if (!group.equals(tree.get("group"))) {
                throw new Refusal(Outcome.SIGNATURE, "the manifest is of the group " + tree.get("group"));
            }
            manifest.compare(key);
            for (String flag : manifest.flags) {
                String objection = Flags.objection(flag, key.jvm.feature);
                if (objection != null) {
                    throw new Refusal(Outcome.SIGNATURE, "the manifest wants what it must not: " + objection);
                }
            }
            return manifest;
        } catch (Json.Odd odd) {
            throw new Refusal(Outcome.SIGNATURE, "what was signed is no manifest: " + odd.getMessage());
        }
    }

    private void compare(BuildKey ours) throws Refusal {
        if (Arrays.equals(Json.canonical(key), ours.bytes)) {
            return;
        }
        compare("jvm", Outcome.BUILD, ours);
        compare("ergonomics", Outcome.COOPS, ours);
        compare("classPath", Outcome.CLASSPATH, ours);
        compare("moduleOptions", Outcome.MODULE_OPTS, ours);
        compare("agents", Outcome.AGENT, ours);
        compare("cpu", Outcome.CPU, ours);
        throw new Refusal(Outcome.SIGNATURE, "the manifest's key has other parts than this agent's");
    }

    private void compare(String part, Outcome outcome, BuildKey ours) throws Refusal {
        Object one = key.get(part);
        Object other = ours.tree.get(part);
        if (Arrays.equals(Json.canonical(one), Json.canonical(other))) {
            return;
        }
        if (one instanceof Map && other instanceof Map) {
            Map<?, ?> archive = (Map<?, ?>) one;
            Map<?, ?> pod = (Map<?, ?>) other;
            Set<Object> names = new LinkedHashSet<>(List.of("collectors")); // ZGC changes other parts, too
            names.addAll(new TreeSet<>(archive.keySet()));
            names.addAll(pod.keySet());
            for (Object name : names) {
                if (!String.valueOf(archive.get(name)).equals(String.valueOf(pod.get(name)))) {
                    throw new Refusal(name.equals("collectors") ? Outcome.GC : outcome,
                            name + ": archive " + archive.get(name) + ", pod " + pod.get(name));
                }
            }
        }
        if (one instanceof List && other instanceof List) {
            throw new Refusal(outcome, firstDifference((List<?>) one, (List<?>) other));
        }
        throw new Refusal(outcome, part + " differs");
    }

    private static String firstDifference(List<?> archive, List<?> pod) {
        for (int at = 0; at < Math.min(archive.size(), pod.size()); at++) {
            if (!archive.get(at).equals(pod.get(at))) {
                return "entry " + (at + 1) + ": archive " + archive.get(at) + ", pod " + pod.get(at);
            }
        }
        return "archive has " + archive.size() + " entries, pod " + pod.size();
    }
}
