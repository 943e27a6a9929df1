package io.warmroot.jboost;

import java.io.File;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/**
 * Facts about a start, gathered where it happens: the JVM is asked inside this cgroup with the real flags, while
 * the class path and the runtime's files are read beside it.
 */
final class Inspection {
    /** Milliseconds for all of it. There is no option for it: it depends on nobody else. */
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
        private final Reading reading;

        Running(Application application) {
            this.application = application;
            this.asking = new Asking(application);
            this.reading = new Reading(application);
            asking.start();
            reading.start();
        }

        /**
         * What it found.
         *
         * @throws Refusal no archive can be used for such a start, or the time is up
         */
        Inspection await(Deadline deadline) throws Refusal {
            try {
                String[] said = asking.await(deadline);
                Reading.Found found = reading.await(deadline);
                Ergonomics ergonomics = new Ergonomics(said[1]);
                Jvm jvm = new Jvm(said[0], found.libjvm, found.modulesSize, found.modulesDigest);
                BuildKey key = new BuildKey(jvm, ergonomics, found.jars,
                        new ModuleOptions(application.options(), jvm.feature));
                return new Inspection(application, key,
                        Flags.common(jvm.feature, Jvm.modules(application.home), ergonomics.adapters));
            } catch (IOException error) {
                throw new Refusal(Outcome.OFF, "this start can't be inspected: " + error.getMessage());
            }
        }
    }

    /** Starts and awaits an inspection. */
    static Inspection of(Application application) throws Refusal {
        return new Running(application).await(Deadline.in(BUDGET));
    }

    /** Asks the launcher which JVM it is, and the JVM what it chooses. */
    private static final class Asking extends Step<String[]> {
        private final Application application;
        private volatile Child flags;
        private volatile Child version;

        Asking(Application application) {
            super("asking the JVM for its choices");
            this.application = application;
        }

        @Override
        protected String[] work() throws IOException, Refusal {
            String java = application.java.toString();
            List<String> question = new ArrayList<>();
            question.add(java);
            question.addAll(application.quietOptions());
            question.add("-XX:+UnlockDiagnosticVMOptions"); // so that the table names AOTAdapterCaching
            question.add("-XX:+PrintFlagsFinal");
            question.add("-version");
            flags = Child.start(application, question);
            version = Child.start(application, List.of(java, "-Xinternalversion"));
            String table = flags.output();
            if (flags.code() != 0) {
                throw new Refusal(Outcome.OFF, "the JVM refuses the application's options: " + Child.complaint(table));
            }
            return new String[] {Child.lastLine(version.output()), table};
        }

        @Override
        protected void abandon() {
            for (Child child : new Child[] {flags, version}) {
                if (child != null) {
                    child.kill();
                }
            }
        }
    }

    /** Reads the files that the JVM is going to read. */
    private static final class Reading extends Step<Reading.Found> {
        private final Application application;

        Reading(Application application) {
            super("reading the class path");
            this.application = application;
        }

        static final class Found {
            final List<ClassPath.Jar> jars;
            final String libjvm;
            final long modulesSize;
            final String modulesDigest;

            Found(List<ClassPath.Jar> jars, String libjvm, File modules) throws IOException {
                this.jars = jars;
                this.libjvm = libjvm;
                this.modulesSize = modules.length();
                this.modulesDigest = Jvm.sampled(modules.toPath());
            }
        }

        @Override
        protected Found work() throws IOException, Refusal {
            List<ClassPath.Jar> jars = ClassPath.jars(application.classPath());
            return new Found(jars, Jvm.libjvm(application.home), application.home.resolve("lib/modules").toFile());
        }
    }
}
