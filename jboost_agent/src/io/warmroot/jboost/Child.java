package io.warmroot.jboost;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** A JVM that is only asked something: its options stand in its command, and what it prints is kept. */
final class Child {
    private static final int LONGEST = 4 << 20;
    private static final int BLOCK = 1 << 14;

    private final Process process;

    private Child(Process process) {
        this.process = process;
    }

    static Child start(Application application, List<String> command) throws IOException {
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        application.quiet(builder.environment());
        Process process = builder.start();
        process.getOutputStream().close();
        return new Child(process);
    }

    /** What it printed, once it has ended; no more than a few MB are kept. */
    String output() throws IOException {
        InputStream in = process.getInputStream();
        byte[] kept = in.readNBytes(LONGEST);
        in.skip(Long.MAX_VALUE);
        return new String(kept, StandardCharsets.UTF_8);
    }

    /** What it printed up to the end of the line that has this word in it, or all of it if none has. */
    String outputTo(String word) throws IOException {
        InputStream in = process.getInputStream();
        byte[] block = new byte[BLOCK];
        StringBuilder text = new StringBuilder(4 * BLOCK);
        for (int count = in.read(block); count >= 0 && text.length() < LONGEST; count = in.read(block)) {
            int from = Math.max(0, text.length() - word.length());
            text.append(new String(block, 0, count, StandardCharsets.ISO_8859_1));
            int found = text.indexOf(word, from);
            if (found >= 0 && text.indexOf("\n", found) >= 0) {
                break;
            }
        }
        return text.toString();
    }

    /** Its exit code, once it has ended. */
    int code() throws IOException {
        try {
            return process.waitFor();
        } catch (InterruptedException told) {
            throw new IOException("interrupted");
        }
    }

    void kill() {
        process.destroyForcibly();
    }

    /** The last line that says something; "" if none does. */
    static String lastLine(String output) {
        String text = output.stripTrailing();
        return text.substring(text.lastIndexOf('\n') + 1);
    }

    /** The first line about an error; the last line if there is none. */
    static String complaint(String output) {
        for (String line : output.split("\n")) {
            if (line.contains("rror")) {
                return line.strip();
            }
        }
        return lastLine(output).strip();
    }
}
