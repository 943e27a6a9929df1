package io.warmroot.jboost;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * The JVM's own check of an archive: it starts with the application's flags and class path in the same folder,
 * runs nothing, and says whether it shares. It is no integrity check: it takes flipped bits.
 */
final class Preflight extends Step<Boolean> {
    /** The exit code of what SIGKILL ended. */
    private static final int KILLED = 128 + 9;

    private final Application application;
    private final List<String> command;
    private volatile Child child;

    private Preflight(Application application, List<String> command) {
        super("trying the archive");
        this.application = application;
        this.command = command;
    }

    /**
     * Tries an archive.
     *
     * @param flags those that the application will get
     * @throws Refusal {@code preflight}, or {@code budget} where time ran out
     */
    static void run(Inspection facts, List<String> flags, Deadline deadline) throws Refusal {
        Application application = facts.application;
        List<String> command = new ArrayList<>();
        command.add(application.java.toString());
        command.addAll(application.quietOptions());
        command.addAll(flags);
        command.add(Flags.strictly(facts.jvm.feature));
        command.add("-cp");
        command.add(application.classPath());
        command.add("-version");
        Preflight preflight = new Preflight(application, command);
        preflight.start();
        try {
            preflight.await(deadline);
        } catch (IOException error) {
            throw new Refusal(Outcome.OFF, "the JVM can't be started to try the archive: " + error.getMessage());
        }
    }

    @Override
    protected Boolean work() throws IOException, Refusal {
        child = Child.start(application, command);
        String output = child.output();
        int code = child.code();
        if (code == KILLED) {
            throw new Refusal(Outcome.OFF, "the JVM was killed while it tried the archive; is the memory limit too low?");
        }
        // With some options it ends with 0 and shares nothing: only the words tell.
        if (code != 0 || !Child.lastLine(output).stripTrailing().endsWith("sharing)")) {
            throw new Refusal(Outcome.PREFLIGHT, "the JVM refuses the archive: " + Child.complaint(output));
        }
        return true;
    }

    @Override
    protected void abandon() {
        Child running = child;
        if (running != null) {
            running.kill();
        }
    }
}
