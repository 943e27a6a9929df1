package io.warmroot.jboost;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The application as it is going to start: its launcher, and every option that reaches its JVM, whether from
 * the command, from JDK_JAVA_OPTIONS, from JAVA_TOOL_OPTIONS or from a file that one of them names.
 */
final class Application {
    /** The variable in which an image has options of its own, and a pod our options file. */
    static final String IMAGE = "JDK_JAVA_OPTIONS";
    private static final String VM_OPTIONS = "-XX:VMOptionsFile=";
    /** Before the name of a variable that is the application's, and that our own JVM must not act on. */
    static final String ASIDE = "JBOOST_";
    private static final List<String> VARIABLES = List.of(IMAGE, "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS");
    /** With these a JVM prints something and ends. */
    private static final List<String> NO_START = List.of("-version", "--version", "-fullversion", "--full-version",
            "-help", "--help", "-h", "-?", "-X", "--help-extra", "--dry-run", "--list-modules", "-d",
            "--describe-module", "--validate-modules", "-Xinternalversion");
    /** Archives and recordings that somebody else looks after. */
    private static final List<String> CACHES = List.of("-Xshare:", "-XX:SharedArchiveFile", "-XX:SharedClassListFile",
            "-XX:ArchiveClassesAtExit", "-XX:DumpLoadedClassList", "-XX:AOT", "-XX:+AOT", "-XX:-AOT",
            "-XX:+AutoCreateSharedArchive", "-XX:+RecordDynamicDumpInfo", "-XX:CacheDataStore");
    /** What would really act in a JVM that is only asked something: open ports, write files, touch a whole heap. */
    private static final List<String> ACTING = List.of("-javaagent:", "-agentlib:", "-agentpath:", "-Xrun", "-Xdebug",
            "-Dcom.sun.management", "-XX:StartFlightRecording", "-XX:FlightRecorderOptions",
            "-XX:+FlightRecorder", "-Xlog", "-Xloggc", "-verbose", "-showversion", "--show-version",
            "-XshowSettings", "--show-module-resolution", "-XX:+AlwaysPreTouch", "-XX:+PauseAtStartup",
            "-XX:+LogVMOutput", "-XX:LogFile", "-XX:+StartAttachListener", "-splash:", "-XX:+Print");

    /** The launcher as it is called, and the folder of its runtime. */
    final Path java;
    final Path home;
    final CommandLine command;
    /** What JDK_JAVA_OPTIONS says, without our own file. */
    final CommandLine image;
    private final List<String> tool;
    private final List<String> late;
    private final Map<String, String> environment;

    private Application(Path java, Path home, CommandLine command, CommandLine image, Map<String, String> environment) {
        this.java = java;
        this.home = home;
        this.command = command;
        this.image = image;
        this.environment = environment;
        this.tool = variable("JAVA_TOOL_OPTIONS");
        this.late = variable("_JAVA_OPTIONS");
    }

    /** What the image's own JDK_JAVA_OPTIONS says, argument files expanded; {@code own} is our options file. */
    static CommandLine image(Map<String, String> environment, Path own) {
        String text = environment.get(IMAGE);
        return CommandLine.of(text == null ? List.of() : Words.ofVariable(text), own);
    }

    /** The same with a character for each byte, for the options file: no locale may change what the image says. */
    static CommandLine bytes(Map<String, String> environment, Path own) {
        return CommandLine.of(Words.ofVariable(bytes(environment)), own, StandardCharsets.ISO_8859_1);
    }

    /** The application's variables: what was put aside is where the application's JVM finds it. */
    static Map<String, String> environment(Map<String, String> ours) {
        Map<String, String> all = new HashMap<>(ours);
        for (String name : VARIABLES) {
            String aside = ours.get(ASIDE + name);
            if (aside != null) {
                all.put(name, aside);
            }
        }
        return all;
    }

    private static String bytes(Map<String, String> environment) {
        try {
            String all = Files.readString(Path.of("/proc/self/environ"), StandardCharsets.ISO_8859_1);
            String found = "";
            for (String variable : all.split("\0")) {
                if (variable.startsWith(ASIDE + IMAGE + "=")) {
                    return variable.substring(ASIDE.length() + IMAGE.length() + 1);
                } else if (variable.startsWith(IMAGE + "=")) {
                    found = variable.substring(IMAGE.length() + 1);
                }
            }
            return found;
        } catch (IOException noProc) { // as this locale reads it: nothing better is there
            byte[] text = environment.getOrDefault(IMAGE, "").getBytes(StandardCharsets.UTF_8);
            return new String(text, StandardCharsets.ISO_8859_1);
        }
    }

    /**
     * The application that these words start.
     *
     * @throws Refusal nothing can be done for it
     */
    static Application of(List<String> words, CommandLine image, Map<String, String> environment) throws Refusal {
        if (words == null || words.isEmpty()) {
            throw off("no command was given: put the application's own after `--`");
        }
        String first = words.get(0);
        if (!first.substring(first.lastIndexOf('/') + 1).equals("java")) {
            throw off("the command begins with " + first
                    + ", not with java: put the java command that it runs after `--`");
        }
        Path java = find(first, environment);
        Application application = new Application(java, home(java),
                CommandLine.of(words.subList(1, words.size()), null), image, environment);
        application.check();
        return application;
    }

    private void check() throws Refusal {
        if (!image.unread.isEmpty()) {
            throw off("JDK_JAVA_OPTIONS names @" + image.unread.get(0) + ", which can't be read here");
        }
        if (!image.target.isEmpty()) {
            throw off("JDK_JAVA_OPTIONS names what to start, which no JVM accepts: " + image.target.get(0));
        }
        if (!command.unread.isEmpty()) {
            throw off("the command names @" + command.unread.get(0) + ", which can't be read here");
        }
        if (command.target.isEmpty()) {
            throw off("the command starts no program");
        }
        for (String option : options()) {
            if (NO_START.contains(option)) {
                throw off("with " + option + " no program is started");
            }
            if (begins(option, CACHES)) {
                throw off("the application looks after its own archive: " + option);
            }
        }
    }

    /** Every option of the JVM in the order in which it reads them: the last one wins. */
    List<String> options() {
        List<String> all = new ArrayList<>(tool);
        all.addAll(image.options);
        all.addAll(command.options);
        all.addAll(late);
        for (String option : List.copyOf(all)) {
            if (option.startsWith(VM_OPTIONS)) {
                all.addAll(file(option.substring(VM_OPTIONS.length())));
            }
        }
        return all;
    }

    /** Whether the application configures the JVM's own log. */
    boolean logs() {
        return has("-Xlog") || has("-verbose") || has("-Xloggc");
    }

    private boolean has(String prefix) {
        for (String option : options()) {
            if (option.startsWith(prefix)) {
                return true;
            }
        }
        return false;
    }

    /** The options with which a JVM can be asked about itself: all but the class path and whatever acts. */
    List<String> quietOptions() {
        List<String> quiet = new ArrayList<>();
        boolean value = false;
        for (String option : joined()) {
            if (value) {
                value = false;
            } else if (CommandLine.CLASS_PATH.contains(option)) {
                value = true;
            } else if (!option.startsWith("--class-path=") && !begins(option, ACTING)) {
                quiet.add(option);
            }
        }
        return quiet;
    }

    private List<String> joined() {
        List<String> all = new ArrayList<>(tool);
        all.addAll(image.options);
        all.addAll(command.options);
        all.addAll(late);
        return all;
    }

    /** The class path as the launcher gets it; null if the application has none. */
    String classPath() {
        if (command.jar() != null) {
            return command.jar(); // replaces every other one
        }
        String found = environment.get("CLASSPATH");
        List<String> options = joined();
        for (int at = 0; at < options.size(); at++) {
            String option = options.get(at);
            if (CommandLine.CLASS_PATH.contains(option) && at + 1 < options.size()) {
                found = options.get(++at);
            } else if (option.startsWith("--class-path=")) {
                found = option.substring("--class-path=".length());
            }
        }
        return found != null || command.module() ? found : ".";
    }

    /** The environment for a JVM that is only asked something, whose options all stand in its command. */
    void quiet(Map<String, String> child) {
        for (String variable : VARIABLES) {
            child.remove(variable);
        }
    }

    private List<String> variable(String name) {
        String text = environment.get(name);
        return text == null ? List.of() : Words.ofVariable(text);
    }

    private static List<String> file(String name) {
        try {
            return Words.ofVariable(new String(Files.readAllBytes(Path.of(name)), StandardCharsets.UTF_8));
        } catch (IOException unreadable) {
            return List.of(); // the JVM itself will say so, and our question to it fails
        }
    }

    private static boolean begins(String option, List<String> prefixes) {
        for (String prefix : prefixes) {
            if (option.startsWith(prefix)) {
                return true;
            }
        }
        return false;
    }

    private static Path find(String name, Map<String, String> environment) throws Refusal {
        if (name.indexOf('/') >= 0) {
            if (new File(name).canExecute()) {
                return Path.of(name).toAbsolutePath();
            }
            throw off("there is no program " + name);
        }
        String path = environment.get("PATH");
        for (String folder : (path == null ? "" : path).split(":")) {
            File file = new File(folder.isEmpty() ? "." : folder, name);
            if (file.isFile() && file.canExecute()) {
                return file.toPath().toAbsolutePath();
            }
        }
        throw off("there is no " + name + " on PATH");
    }

    private static Path home(Path java) throws Refusal {
        try {
            Path home = java.toRealPath().getParent().getParent();
            if (home != null && Files.isRegularFile(home.resolve("lib/modules"))) {
                return home;
            }
        } catch (IOException gone) {
            throw off(java + " can't be read: " + gone.getMessage());
        }
        throw off(java + " is no launcher of a Java runtime: name the one that it starts");
    }

    private static Refusal off(String why) {
        return new Refusal(Outcome.OFF, why);
    }
}
