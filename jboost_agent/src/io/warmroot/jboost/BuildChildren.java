package io.warmroot.jboost;

import java.io.IOException;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;

/** The processes that a build has started. None of them outlives it, however it ends. */
final class BuildChildren {
    private final Set<Process> running = new HashSet<>();
    private boolean closed;

    /** Starts a process, unless the build is being ended. */
    synchronized Process start(ProcessBuilder builder) throws Failure {
        if (closed) {
            throw new Failure("Interrupted", "the builder was told to end", "");
        }
        try {
            Process process = builder.start();
            running.add(process);
            return process;
        } catch (IOException error) {
            throw new Failure("StartFailed", builder.command().get(0) + " can't be started: " + error.getMessage(),
                    "check the command and the working directory");
        }
    }

    /** Ends a process and its descendants: asks first, and after the grace time does not ask. */
    void end(Process process, Duration grace) throws InterruptedException {
        List<ProcessHandle> family = process.descendants().toList();
        process.destroy();
        try {
            process.waitFor(grace.toMillis(), TimeUnit.MILLISECONDS);
        } finally {
            family.forEach(ProcessHandle::destroyForcibly);
            process.destroyForcibly();
            process.waitFor();
            synchronized (this) {
                running.remove(process);
            }
        }
    }

    /** Ends all of them at once, and lets no further one start. */
    synchronized void close() {
        closed = true;
        for (Process process : running) {
            process.descendants().forEach(ProcessHandle::destroyForcibly);
            process.destroyForcibly();
        }
    }
}
