package io.warmroot.jboost;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Facts about a start, gathered where it happens: the JVM is asked inside this cgroup with the real flags, while
 * the class path and the runtime's files are read beside it.
 */
final class Inspection {
    /** Milliseconds for all of it, if nothing else is said. It depends on nobody but this machine. */
    static final int BUDGET = 5000;

    final Application application;
    final BuildKey key;
    final Jvm jvm;
    /** The flags that recording, building, trying and using have in common. */
    final List<String> common;

    private Inspection(Application application, BuildKey key, List<String> common) {
        this.application = application;
        this.key = key;
        this.jvm = key.jvm;
        this.common = common;
    }

    /** An inspection that has begun. */
    static final class Running {
        private final Application application;
        private final Asking asking;
        private Reading reading;

        /** Asks the JVM, which takes longest. */
        Running(Application application) {
            this.application = application;
            this.asking = new Asking(application);
            asking.start();
        }

        /** Reads the files beside it. */
        void read(FileNotes notes) {
            reading = new Reading(application, notes);
            reading.start();
        }

        /**
         * What it found.
         *
         * @throws Refusal no archive can be used for such a start, or the time is up
         */
        Inspection await(Deadline deadline) throws Refusal {
            try {
                Ergonomics ergonomics = asking.await(deadline);
                Reading.Found found = reading.await(deadline);
                Jvm jvm = found.jvm;
                BuildKey key = new BuildKey(jvm, ergonomics, found.jars,
                        new ModuleOptions(application.options(), jvm.feature));
                return new Inspection(application, key,
                        Flags.common(jvm.feature, Jvm.modules(application.home), ergonomics.adapters));
            } catch (IOException error) {
                throw new Refusal(Outcome.OFF, "this start can't be inspected: " + error.getMessage());
            }
        }
    }

    /** Starts and awaits an inspection that takes nothing for known. */
    static Inspection of(Application application, Deadline deadline) throws Refusal {
        Running running = new Running(application);
        running.read(new FileNotes());
        return running.await(deadline);
    }

    /** Asks the JVM what it chooses. */
    private static final class Asking extends Step<Ergonomics> {
        private final Application application;
        private volatile Child child;

        Asking(Application application) {
            super("asking the JVM for its choices");
            this.application = application;
        }

        @Override
        protected Ergonomics work() throws IOException, Refusal {
            List<String> question = new ArrayList<>();
            question.add(application.java.toString());
            question.addAll(application.quietOptions());
            question.add("-XX:+UnlockDiagnosticVMOptions"); // so that the table names AOTAdapterCaching
            question.add("-XX:-UsePerfData"); // who is killed leaves that file behind
            question.add("-XX:+PrintFlagsFinal");
            question.add("-version");
            child = Child.start(application, question);
            String table = child.outputTo(Ergonomics.LAST);
            if (table.contains(Ergonomics.LAST)) {
                child.kill(); // the JVM has its heap and all its choices; nobody needs the rest of its start
            } else if (child.code() != 0) {
                throw new Refusal(Outcome.OFF, "the JVM refuses the application's options: " + Child.complaint(table));
            }
            return new Ergonomics(table);
        }

        @Override
        protected void abandon() {
            Child running = child;
            if (running != null) {
                running.kill();
            }
        }
    }

    /** Reads the files that the JVM is going to read, and its own. */
    private static final class Reading extends Step<Reading.Found> {
        private final Application application;
        private final FileNotes notes;
        private volatile Child child;

        Reading(Application application, FileNotes notes) {
            super("reading the class path");
            this.application = application;
            this.notes = notes;
        }

        static final class Found {
            final List<ClassPath.Jar> jars;
            final Jvm jvm;

            Found(List<ClassPath.Jar> jars, Jvm jvm) {
                this.jars = jars;
                this.jvm = jvm;
            }
        }

        @Override
        protected Found work() throws IOException, Refusal {
            List<ClassPath.Jar> jars = ClassPath.jars(application.classPath(), notes);
            Path modules = application.home.resolve("lib/modules");
            String state = FileNotes.state(modules);
            FileNotes.Found sampled = notes.found(modules.toString(), state);
            if (sampled == null) {
                sampled = new FileNotes.Found(Jvm.sampled(modules), null);
                notes.note(modules.toString(), state, sampled);
            }
            FileNotes.Found library = library();
            return new Found(jars, new Jvm(library.more, library.digest, Files.size(modules), sampled.digest));
        }

        /** The JVM's build id, and what it says of itself, which stands in the same file. */
        private FileNotes.Found library() throws IOException, Refusal {
            Path path = Jvm.library(application.home);
            String state = FileNotes.state(path);
            FileNotes.Found found = notes.found(path.toString(), state);
            if (found == null) {
                child = Child.start(application, List.of(application.java.toString(), "-Xinternalversion"));
                String said = Child.lastLine(child.output());
                found = new FileNotes.Found(Jvm.libjvm(path), said);
                notes.note(path.toString(), state, found);
            }
            return found;
        }

        @Override
        protected void abandon() {
            Child running = child;
            if (running != null) {
                running.kill();
            }
        }
    }
}
