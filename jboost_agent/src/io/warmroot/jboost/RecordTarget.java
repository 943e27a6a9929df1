package io.warmroot.jboost;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * The JVM that records: its process where it can be seen, and its attach socket.
 *
 * <p>A socket is named by the process id that the JVM has in its own namespace and lies in the JVM's own
 * {@code /tmp}. A recorder sees it through {@code /proc/<pid>/root} where processes are shared, or in a volume
 * that is the application's {@code /tmp}. That volume must be mounted elsewhere in the recorder: at its start
 * a JVM deletes a socket of its own number.
 */
final class RecordTarget {
    private static final Path PROC = Path.of("/proc");
    private static final String SOCKET = ".java_pid";

    private final Path attachDir;
    private final String options;
    private final boolean list;
    private long pid;

    /**
     * {@code attachDir} may be null and {@code pid} 0: then the process is found by the options file that it
     * was started with, so that nobody else's recording is ever ended. With {@code attachDir} the process
     * lives elsewhere, and {@code pid} is only what it calls itself.
     */
    RecordTarget(Path attachDir, long pid, Path optionsFile, boolean list) {
        this.list = list;
        this.attachDir = attachDir;
        this.pid = pid;
        this.options = OptionsFile.bytes("@" + optionsFile);
    }

    /** Looks for the process if nobody named it. */
    void find() {
        if (pid != 0 || attachDir != null) {
            return;
        }
        long self = ProcessHandle.current().pid();
        try (DirectoryStream<Path> all = Files.newDirectoryStream(PROC, "[0-9]*")) {
            for (Path process : all) {
                long number = Long.parseLong(process.getFileName().toString());
                if (number != self && startedWith(process) && (list ? java(process) : Files.exists(socket(number)))) {
                    pid = number;
                    return;
                }
            }
        } catch (IOException unreadable) {
            pid = 0; // no /proc: the recording ends with the application
        }
    }

    private boolean startedWith(Path process) {
        try {
            String environment = Files.readString(process.resolve("environ"), StandardCharsets.ISO_8859_1);
            for (String variable : environment.split("\0")) {
                if (variable.startsWith(Application.IMAGE + "=")) {
                    return Words.ofVariable(variable.substring(variable.indexOf('=') + 1)).contains(options);
                }
            }
        } catch (IOException anothersOrGone) {
            return false;
        }
        return false;
    }

    /** A JVM that writes a class list has no attach socket; shells and other children inherit its environment. */
    private static boolean java(Path process) {
        try {
            return Files.readSymbolicLink(process.resolve("exe")).endsWith("java");
        } catch (IOException anothersOrGone) {
            return false;
        }
    }

    /** Whether its process can be seen from here. */
    boolean seen() {
        return pid != 0 && attachDir == null;
    }

    /** Whether the process is known to have ended. */
    boolean ended() {
        if (!seen()) {
            return false;
        }
        try {
            String stat = Files.readString(PROC.resolve(pid + "/stat"), StandardCharsets.ISO_8859_1);
            char state = stat.charAt(stat.lastIndexOf(')') + 2);
            return state == 'Z' || state == 'X'; // ended, and nobody has asked yet how
        } catch (IOException gone) {
            return true;
        }
    }

    /** Where its attach socket may be, the likeliest first. */
    List<Path> sockets() {
        List<Path> found = new ArrayList<>();
        if (attachDir == null) {
            if (pid != 0) {
                found.add(socket(pid));
            }
            return found;
        }
        if (pid != 0) {
            found.add(attachDir.resolve(SOCKET + pid));
            return found;
        }
        try (DirectoryStream<Path> all = Files.newDirectoryStream(attachDir, SOCKET + "[0-9]*")) {
            all.forEach(found::add);
        } catch (IOException unreadable) {
            return List.of();
        }
        found.sort(Comparator.comparing(RecordTarget::modified).reversed());
        return found;
    }

    private static FileTime modified(Path path) {
        try {
            return Files.getLastModifiedTime(path);
        } catch (IOException gone) {
            return FileTime.fromMillis(0);
        }
    }

    private static Path socket(long pid) {
        return PROC.resolve(pid + "/root/tmp/" + SOCKET + innerPid(pid));
    }

    /** The process id inside the innermost namespace, which a JVM calls itself by. */
    private static String innerPid(long pid) {
        try {
            for (String line : Files.readAllLines(PROC.resolve(pid + "/status"), StandardCharsets.ISO_8859_1)) {
                if (line.startsWith("NSpid:")) {
                    String[] words = line.strip().split("\\s+");
                    return words[words.length - 1];
                }
            }
        } catch (IOException gone) {
            return Long.toString(pid);
        }
        return Long.toString(pid);
    }
}
