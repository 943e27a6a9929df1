package io.warmroot.jboost;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/** The pod agent. One verb, its options, and after `--` the application's own command. */
final class Main {
    private static final String USAGE = "jboost agent: give a verb: fetch, record, build, extract or doctor"
            + " (docs/jboost-protocol.md, the agent's command line)";

    /** Field 22 of proc(5), counted after the name, in ticks of a hundredth of a second. */
    private static final int STARTTIME = 19;
    private static final long TICK_MS = 10;
    private static final long MOST_MS = 60_000;

    private Main() {}

    /** Entry point. */
    public static void main(String[] arguments) {
        List<String> words = Arrays.asList(arguments);
        String verb = words.isEmpty() ? "" : words.get(0);
        int code = verb.equals("fetch") ? 0 : 1;
        try {
            Map<String, String> environment = Application.environment(System.getenv());
            code = run(verb, words.isEmpty() ? words : words.subList(1, words.size()), environment);
        } catch (Throwable any) { // an entry point: `halt` below would keep it from being said
            System.err.println("jboost " + verb + ": our own mistake, please report it: " + any);
        } finally {
            // Threads that hang in the network or on a disk are left behind, and `fetch` never fails a start.
            Runtime.getRuntime().halt(code);
        }
    }

    private static int run(String verb, List<String> words, Map<String, String> environment) {
        switch (verb) {
            case "fetch":
                return Fetch.run(words, environment, new Report(begin()));
            case "doctor":
                return Doctor.run(words, environment, new Report(begin()));
            case "record":
            case "build":
            case "extract":
                return learn(verb, words);
            default:
                System.err.println(USAGE);
                return 2;
        }
    }

    private static int learn(String verb, List<String> words) {
        try {
            switch (verb) {
                case "record":
                    return new Record(RecordOptions.of(words)).run();
                case "build":
                    return new Build(BuildOptions.of(words)).run();
                default:
                    return Extract.run(words);
            }
        } catch (Failure failure) {
            System.err.println("jboost " + verb + ": " + failure);
            return failure.reason.equals("Usage") ? 2 : 1;
        }
    }

    /**
     * When this process was started: what a JVM takes for itself is part of what we cost. Read from /proc, since
     * {@link ProcessHandle} starts threads for it.
     */
    private static long begin() {
        long now = System.currentTimeMillis();
        try {
            String stat = Files.readString(Path.of("/proc/self/stat"));
            String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
            String uptime = Files.readString(Path.of("/proc/uptime"));
            long up = (long) (Double.parseDouble(uptime.substring(0, uptime.indexOf(' '))) * 1000);
            long begin = now - up + Long.parseLong(fields[STARTTIME]) * TICK_MS;
            return begin <= now && begin > now - MOST_MS ? begin : now; // some containers have an uptime of their own
        } catch (IOException | RuntimeException unknown) {
            return now;
        }
    }
}
