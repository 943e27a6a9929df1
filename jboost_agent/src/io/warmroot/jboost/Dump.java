package io.warmroot.jboost;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** How a JDK makes an archive of what was learned, and how one sees that it did. */
final class Dump {
    /**
     * The JVM ends with 0 though a bad line cost all generated forms: only its log tells. Levels and tags are
     * padded to the longest one seen so far.
     */
    private static final Pattern ERROR = Pattern.compile("\\[error *]\\[[a-z,]*\\b(?:cds|aot)\\b[a-z,]* *]");
    private static final Pattern FATAL = Pattern.compile("format error|^Error occurred|^An error has occurred");
    private static final int SHOWN = 3;

    private Dump() {}

    /**
     * The command that dumps.
     *
     * @param options the application's own options of the JVM, without agents, with the class path last
     */
    static List<String> command(Path java, int feature, Path input, Path archive, List<String> options) {
        List<String> command = new ArrayList<>();
        command.add(java.toString());
        command.addAll(options);
        if (feature >= Flags.FIRST_AOT) {
            command.add("-XX:AOTMode=create");
            command.add("-XX:AOTConfiguration=" + input);
            command.add("-XX:AOTCache=" + archive);
        } else {
            command.add("-Xshare:dump");
            command.add("-XX:SharedClassListFile=" + input);
            command.add("-XX:SharedArchiveFile=" + archive);
        }
        // Whatever the application does with its own log, this one is read by us.
        command.add("-Xlog:disable");
        command.add("-Xlog:all=warning:stdout:level,tags");
        return command;
    }

    /** What in a dump's output says that the archive is not whole; empty if nothing does. */
    static String complaint(String output) {
        return output.lines()
                .map(String::strip)
                .filter(line -> ERROR.matcher(line).find() || FATAL.matcher(line).find())
                .limit(SHOWN)
                .collect(Collectors.joining("; "));
    }
}
