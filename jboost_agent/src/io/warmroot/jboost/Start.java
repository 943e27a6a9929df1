package io.warmroot.jboost;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;

/**
 * Where the jar begins. A Java that is too old for the agent reads this class, {@link Words} and no other: the
 * webhook puts the agent into pods without knowing their Java, and none of them may fail to start for it.
 */
final class Start {
    private static final int OLDEST = 17;

    private Start() {}

    /** Entry point. */
    public static void main(String[] arguments) {
        String version = System.getProperty("java.specification.version");
        if (old(version)) {
            String aside = System.getenv("JBOOST_JDK_JAVA_OPTIONS");
            System.exit(off(version, arguments, aside == null ? System.getenv("JDK_JAVA_OPTIONS") : aside));
        }
        Main.main(arguments);
    }

    /** Whether this version, such as 1.8 or 17, is too old for the agent. */
    static boolean old(String version) {
        return version.startsWith("1.") || Integer.parseInt(version) < OLDEST;
    }

    /** What is done in place of a verb; the exit code. {@code image}: JDK_JAVA_OPTIONS, null if there are none. */
    static int off(String version, String[] arguments, String image) {
        System.err.println("jboost: off: Java " + version + " has no archives that could be handed on; "
                + OLDEST + " and later do");
        if (arguments.length == 0 || !arguments[0].equals("fetch")) {
            return 1;
        }
        plain(arguments, image);
        return 0;
    }

    /** Leaves an options file with the image's own options; Java 9 to 16 would end without one. */
    private static void plain(String[] arguments, String image) {
        try {
            for (int at = 0; at + 1 < arguments.length && !arguments[at].equals("--"); at++) {
                if (arguments[at].equals("--dir")) {
                    Path dir = Paths.get(arguments[at + 1]);
                    Files.createDirectories(dir);
                    Files.write(dir.resolve("java.opts"), text(image).getBytes(StandardCharsets.UTF_8));
                    return;
                }
            }
        } catch (IOException unwritable) {
            System.err.println("jboost: the options file can't be written: " + unwritable);
        }
    }

    /** As an argument file has it. The launcher takes no file inside of a file: what is in it stands in its place. */
    private static String text(String image) throws IOException {
        StringBuilder text = new StringBuilder();
        for (String word : Words.ofVariable(image == null ? "" : image)) {
            if (word.startsWith("@") && !word.startsWith("@@") && word.length() > 1) {
                text.append(new String(Files.readAllBytes(Paths.get(word.substring(1))), StandardCharsets.UTF_8));
            } else {
                text.append(Words.quoted(word.startsWith("@@") ? word.substring(1) : word));
            }
            text.append('\n');
        }
        return text.toString();
    }
}
