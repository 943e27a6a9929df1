package io.warmroot.jboost;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** Runs the JDK that makes an archive, and believes it only if its log has nothing to say against it. */
final class BuildArchive {
    private static final Duration LIMIT = Duration.ofMinutes(20);
    private static final Duration GRACE = Duration.ofSeconds(2);

    private final Inspection start;
    private final BuildChildren children;

    BuildArchive(Inspection start, BuildChildren children) {
        this.start = start;
        this.children = children;
    }

    /** Makes {@code archive} of {@code input}; what the JDK says is in {@code log}. */
    void make(Path input, Path archive, Path log) throws Failure, IOException, InterruptedException {
        Application application = start.application;
        List<String> options = new ArrayList<>(start.common);
        options.addAll(application.quietOptions());
        options.add("-cp");
        options.add(application.classPath());
        ProcessBuilder builder = new ProcessBuilder(
                Dump.command(application.java, start.jvm.feature, input, archive, options));
        application.quiet(builder.environment());
        builder.redirectInput(new File("/dev/null")).redirectErrorStream(true).redirectOutput(log.toFile());
        Process process = children.start(builder);
        boolean ended;
        try {
            ended = process.waitFor(LIMIT.toMillis(), TimeUnit.MILLISECONDS);
        } finally {
            children.end(process, GRACE);
        }
        if (!ended) {
            throw failed("it did not end within " + LIMIT.toMinutes() + " minutes", log);
        }
        String complaint = Dump.complaint(Files.readString(log, StandardCharsets.ISO_8859_1));
        if (!complaint.isEmpty()) {
            throw failed(complaint, log);
        }
        if (process.exitValue() != 0) {
            throw failed("it ended with " + process.exitValue() + BuildLog.tail(log), log);
        }
        if (!Files.exists(archive) || Files.size(archive) == 0) {
            throw failed("it wrote nothing" + BuildLog.tail(log), log);
        }
    }

    private static Failure failed(String why, Path log) {
        return new Failure("DumpFailed", "the JDK made no whole archive: " + why, "all it said is in " + log);
    }
}
