package io.warmroot.jboost;

import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * One way to start the real command: with its working directory and with an options file as a pod has it, so
 * that what is judged is what will be used.
 */
final class MeasureStart implements Measure.Start {
    private static final long POLL_MS = 5;
    private static final Duration GRACE = Duration.ofSeconds(20);

    private final List<String> command;
    private final Path options;
    private final Path log;
    private final Ready ready;
    private final Duration limit;
    private final BuildChildren children;

    /** {@code limit} is the longest that a start may take; the application's output replaces {@code log}. */
    MeasureStart(List<String> command, Path options, Path log, Ready ready, Duration limit, BuildChildren children) {
        this.command = command;
        this.options = options;
        this.log = log;
        this.ready = ready;
        this.limit = limit;
        this.children = children;
    }

    @Override
    public long milliseconds() throws Failure, InterruptedException {
        if (ready.taken()) {
            throw new Failure("PortTaken", "something answers at " + ready.words() + " before the application runs",
                    "end it, or build with another port");
        }
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log.toFile());
        builder.redirectInput(new File("/dev/null"));
        builder.environment().put("JDK_JAVA_OPTIONS", "\"@" + options + "\"");
        long begin = System.nanoTime();
        Process process = children.start(builder);
        try {
            awaitReady(process, begin);
            return Math.max(1, (System.nanoTime() - begin) / 1_000_000);
        } catch (IOException error) {
            throw new Failure("StartFailed", "the application's output can't be read: " + error.getMessage(), "");
        } finally {
            children.end(process, GRACE);
            awaitFree();
        }
    }

    private void awaitReady(Process process, long begin) throws IOException, Failure, InterruptedException {
        Ready.Probe probe = ready.probe(log);
        boolean alive = true;
        while (!probe.ready(process)) {
            if (!alive) {
                throw new Failure("StartFailed", "the application ended with " + process.exitValue() + " before "
                        + ready.words() + BuildLog.tail(log), "start it by hand with the same command");
            }
            if (System.nanoTime() - begin > limit.toNanos()) {
                throw new Failure("StartFailed", "not within " + limit.toSeconds() + " s: " + ready.words()
                        + BuildLog.tail(log), "check how readiness is told, or allow more --start-seconds");
            }
            // Looked at again after its end: the last line may come with it.
            alive = !process.waitFor(POLL_MS, TimeUnit.MILLISECONDS);
        }
    }

    private void awaitFree() throws InterruptedException {
        long deadline = System.nanoTime() + GRACE.toNanos();
        while (ready.taken() && System.nanoTime() < deadline) {
            Thread.sleep(POLL_MS);
        }
    }
}
