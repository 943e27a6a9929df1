package io.warmroot.jboost;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * The flags of ours, per JDK. A flag of the wrong version ends a JVM, and one of each kind beside the other does
 * so, too: nothing here depends on what a server says.
 */
final class Flags {
    /** From here on caches are AOT caches. */
    static final int FIRST_AOT = 24;
    /** Given to every JVM of ours from there on, so that an agent, JMX or JFR in only some starts drops nothing. */
    static final List<String> FIXED_MODULES = List.of("java.instrument", "jdk.jfr", "jdk.management.agent");

    private Flags() {}

    /**
     * What recording, building, trying and using have in common.
     *
     * @param modules those that the runtime has
     * @param adapters whether it can put adapters for one CPU into a cache (JDK-8388703)
     */
    static List<String> common(int feature, List<String> modules, boolean adapters) {
        List<String> flags = new ArrayList<>();
        if (feature >= FIRST_AOT) {
            StringBuilder fixed = new StringBuilder();
            for (String module : FIXED_MODULES) {
                if (modules.contains(module)) {
                    fixed.append(fixed.length() == 0 ? "--add-modules=" : ",").append(module);
                }
            }
            if (fixed.length() > 0) {
                flags.add(fixed.toString());
            }
            if (adapters) {
                flags.add("-XX:+UnlockDiagnosticVMOptions");
                flags.add("-XX:-AOTAdapterCaching");
            }
        }
        return flags;
    }

    /** The name of an archive's file. Nothing but hex: a `:` in it breaks every JDK. */
    static String fileName(int feature, String digest) {
        return digest + (feature >= FIRST_AOT ? ".aot" : ".jsa");
    }

    /** How a JVM is told to use an archive. */
    static String use(int feature, Path archive) {
        return (feature >= FIRST_AOT ? "-XX:AOTCache=" : "-XX:SharedArchiveFile=") + archive;
    }

    /** How a JVM is told to end rather than to start without the archive. */
    static String strictly(int feature) {
        return feature >= FIRST_AOT ? "-XX:AOTMode=on" : "-Xshare:on";
    }

    /** How a JVM is told to record. */
    static List<String> record(int feature, Path folder) {
        return feature >= FIRST_AOT
                ? List.of("-XX:AOTMode=record", "-XX:AOTConfiguration=" + folder.resolve("recording.aotconf"),
                        "-XX:+StartAttachListener", "-XX:+DisplayVMOutputToStderr") // "recorded" would go to stdout
                : List.of("-XX:DumpLoadedClassList=" + folder.resolve("recording.lst"));
    }

    /** What a recording of this JDK is called. */
    static String form(int feature) {
        return feature >= FIRST_AOT ? "aot" : "classlist";
    }

    /**
     * Keeps the JVM's words about archives off stdout, which may be data: they go to stderr. Where the application
     * has a log of its own only they are left out, and on JDKs before 25, which know no such tag, nothing is.
     */
    static List<String> quiet(Application application, int feature) {
        if (!application.logs()) {
            return List.of("-Xlog:disable", "-Xlog:all=warning:stderr");
        }
        return feature > FIRST_AOT ? List.of("-Xlog:aot*=off:stdout") : List.of();
    }

    /**
     * Why a flag that a signed manifest wants can't be given to this JVM; null if it can.
     */
    static String objection(String flag, int feature) {
        if (!flag.startsWith("-XX:") && !flag.startsWith("--add-modules=")) {
            return flag + " is not for an archive to ask for";
        }
        String name = flag.substring(flag.startsWith("-XX:+") || flag.startsWith("-XX:-") ? 5 : 4);
        if (name.startsWith("AOTCache") || name.startsWith("AOTMode") || name.startsWith("AOTConfiguration")
                || name.startsWith("Shared") || name.startsWith("Flags=") || name.startsWith("VMOptionsFile")) {
            return flag + " is this agent's own affair";
        }
        return name.startsWith("AOT") && feature < FIRST_AOT ? flag + " ends a JVM before " + FIRST_AOT : null;
    }
}
