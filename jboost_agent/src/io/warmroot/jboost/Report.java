package io.warmroot.jboost;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.TreeMap;

/** What {@code fetch} decided and how long each step took: {@code report.json}. */
final class Report {
    static final String NAME = "report.json";

    private final long begin;
    private long last;
    private final TreeMap<String, Long> steps = new TreeMap<>();
    Outcome outcome = Outcome.OFF;
    List<String> why = List.of();
    /** The flags of ours that were written. */
    List<String> flags = List.of();
    /** The digest of the archive that is used, or whose refusal decided; "" if no manifest got so far. */
    String archive = "";
    /** Milliseconds for which the JVM tried that one; 0 if it did not. */
    long tried;
    /** Other archives that the JVM refused, by digest, with its words. */
    final TreeMap<String, String> refused = new TreeMap<>();
    /** The build key's digest. */
    String key = "";
    /** With a lease: its name, the form to record, and the seconds after ready; otherwise null. */
    Service.Lease lease;

    /** {@code begin}: when this process was started, on the clock of {@link System#currentTimeMillis}. */
    Report(long begin) {
        this.begin = begin;
        this.last = System.currentTimeMillis();
        steps.put("start", Math.max(0, last - begin));
    }

    /** Ends a step; the milliseconds that it took. */
    long step(String name) {
        long now = System.currentTimeMillis();
        Long before = steps.get(name);
        long took = now - last;
        steps.put(name, (before == null ? 0 : before) + took);
        last = now;
        return took;
    }

    /** Milliseconds since this process was started. */
    long total() {
        return System.currentTimeMillis() - begin;
    }

    TreeMap<String, Object> tree() {
        TreeMap<String, Object> tree = new TreeMap<>();
        TreeMap<String, Object> ms = new TreeMap<>(steps);
        ms.put("total", total());
        tree.put("outcome", outcome.text);
        tree.put("why", why);
        tree.put("flags", flags);
        tree.put("archive", archive);
        tree.put("key", key);
        tree.put("ms", ms);
        tree.put("lease", lease == null ? null : lease.name());
        if (lease != null) {
            tree.put("form", lease.form());
            tree.put("settle", lease.settle());
        }
        return tree;
    }

    /** What the status of a pod has room for. */
    TreeMap<String, Object> brief() {
        TreeMap<String, Object> tree = new TreeMap<>();
        tree.put("outcome", outcome.text);
        tree.put("archive", archive);
        tree.put("key", key);
        return tree;
    }

    void write(Path folder) throws IOException {
        OptionsFile.replace(folder.resolve(NAME), tree());
    }
}
