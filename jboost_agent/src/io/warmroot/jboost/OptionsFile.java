package io.warmroot.jboost;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;

/**
 * {@code java.opts}, which the application's JVM reads through JDK_JAVA_OPTIONS: the image's own options first,
 * then ours or nothing. A missing file would stop that JVM, and a half-written one, too.
 */
final class OptionsFile {
    static final String NAME = "java.opts";

    private final Path path;
    private final CommandLine image;

    OptionsFile(Path folder, CommandLine image) {
        this.path = folder.resolve(NAME);
        this.image = image;
    }

    /** Writes the image's own options and these, and puts the file in place by rename. */
    void write(List<String> ours) throws IOException {
        replace(path, text(ours).getBytes(StandardCharsets.ISO_8859_1));
    }

    /**
     * Like {@link #write} without any of ours. A file that is there already counts as written if the disk is full
     * and the image has no options of its own: an empty one needs no space.
     */
    void plain() throws IOException {
        try {
            write(List.of());
        } catch (IOException error) {
            if (!image.options.isEmpty() || !image.unread.isEmpty()) {
                throw error;
            }
            Files.write(path, new byte[0]);
        }
    }

    /** What is written, a character for each byte. */
    String text(List<String> ours) {
        StringBuilder text = new StringBuilder();
        for (String option : image.options) {
            text.append(Words.quoted(option)).append('\n');
        }
        for (String file : image.unread) {
            // The launcher takes no file inside of a file. The JVM itself does, and ends if it can't read it:
            // better than a start that lacks the image's options in silence.
            text.append(Words.quoted("-XX:VMOptionsFile=" + file)).append('\n');
        }
        for (String word : image.target) {
            text.append(Words.quoted(word)).append('\n');
        }
        for (String word : image.arguments) {
            text.append(Words.quoted(word)).append('\n');
        }
        for (String option : ours) {
            text.append(Words.quoted(bytes(option))).append('\n');
        }
        return text.toString();
    }

    /** A text of ours with one character a byte, as the image's options and other processes' are read. */
    static String bytes(String text) {
        return new String(text.getBytes(StandardCharsets.UTF_8), StandardCharsets.ISO_8859_1);
    }

    /** A part of a file's name that no other run has at this moment. (The pid is dear: Java starts threads for it.) */
    static String unique() {
        return Long.toHexString(System.nanoTime());
    }

    /** Puts JSON in place of a file. */
    static void replace(Path path, Object tree) throws IOException {
        replace(path, Json.canonical(tree));
    }

    /** Writes a file beside its name, then gives it the name. */
    private static void replace(Path path, byte[] bytes) throws IOException {
        Path partial = path.resolveSibling("." + path.getFileName() + "." + unique());
        try {
            Files.write(partial, bytes);
            Files.move(partial, path, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException error) {
            Files.deleteIfExists(partial);
            throw error;
        }
    }
}
