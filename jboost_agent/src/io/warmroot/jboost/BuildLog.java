package io.warmroot.jboost;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;

/** The last lines of what a child printed, for a person. */
final class BuildLog {
    private static final int LINES = 12;
    private static final int BYTES = 8192;

    private BuildLog() {}

    /** The last lines, indented, on lines of their own; a word in place of them if there are none. */
    static String tail(Path log) {
        String text;
        try (RandomAccessFile file = new RandomAccessFile(log.toFile(), "r")) {
            long from = Math.max(0, file.length() - BYTES);
            byte[] bytes = new byte[(int) (file.length() - from)];
            file.seek(from);
            file.readFully(bytes);
            text = new String(bytes, StandardCharsets.UTF_8);
        } catch (IOException unreadable) {
            return " (its output " + log + " can't be read)";
        }
        List<String> lines = text.lines().filter(line -> !line.startsWith("NOTE: Picked up")).toList();
        if (lines.isEmpty()) {
            return " (it printed nothing)";
        }
        List<String> last = lines.subList(Math.max(0, lines.size() - LINES), lines.size());
        return "; it printed last:\n    " + String.join("\n    ", last);
    }
}
