package io.warmroot.jboost;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/**
 * The jars that the JVM will read, in its order: wildcards in the order of the folder, as the launcher has
 * them, and after each jar those that its manifest names, and theirs. What does not exist the JVM leaves out.
 */
final class ClassPath {
    /** Entries of one class path; the cache service takes no more. */
    private static final int MOST = 10_000;
    private static final String CLASS_PATH = "class-path:";

    /** One entry: size in bytes, mtime in whole seconds since 1970, fingerprint as {@link Zip} makes it. */
    static final class Jar {
        final String path;
        final long size;
        final long mtime;
        final String fingerprint;

        Jar(String path, long size, long mtime, String fingerprint) {
            this.path = path;
            this.size = size;
            this.mtime = mtime;
            this.fingerprint = fingerprint;
        }
    }

    private final List<Jar> jars = new ArrayList<>();
    private final Set<String> seen = new HashSet<>();

    private final FileNotes notes;

    private ClassPath(FileNotes notes) {
        this.notes = notes;
    }

    /**
     * The jars of a class path.
     *
     * @param text as the launcher gets it; null if there is none
     * @param notes what is known of these jars
     * @throws Refusal no archive can be used with it
     */
    static List<Jar> jars(String text, FileNotes notes) throws Refusal {
        ClassPath path = new ClassPath(notes);
        if (text != null) {
            for (String entry : expanded(text)) {
                path.add(new File(entry.isEmpty() ? "." : entry));
            }
        }
        if (path.jars.isEmpty()) {
            throw refused(text == null ? "the program has no class path (it is started from a module)"
                    : "there is no jar on the class path " + text);
        }
        return path.jars;
    }

    /** The class path with its wildcards replaced, as the launcher hands it to the JVM. */
    static List<String> expanded(String text) {
        List<String> entries = new ArrayList<>();
        for (String entry : text.split(":", -1)) {
            List<String> found = entry.equals("*") || entry.endsWith("/*") ? wildcard(entry) : List.of();
            if (found.isEmpty()) {
                entries.add(entry);
            } else {
                entries.addAll(found);
            }
        }
        return entries;
    }

    private static List<String> wildcard(String entry) {
        String folder = entry.substring(0, entry.length() - 1);
        String[] names = new File(folder.isEmpty() ? "." : folder).list(); // in the folder's order, like readdir
        List<String> found = new ArrayList<>();
        for (String name : names == null ? new String[0] : names) {
            if (name.endsWith(".jar") || name.endsWith(".JAR")) {
                found.add(folder + name);
            }
        }
        return found;
    }

    private void add(File file) throws Refusal {
        String path = file.toPath().toAbsolutePath().normalize().toString();
        if (!seen.add(path)) {
            return;
        }
        if (seen.size() > MOST) {
            throw refused("a class path of more than " + MOST + " entries");
        }
        if (path.indexOf(':') >= 0) {
            throw refused(path + " holds a `:`, at which the JVM ends it");
        }
        if (file.isDirectory()) {
            String[] names = file.list();
            if (names == null || names.length > 0) {
                throw refused(path
                        + " is a folder that is not empty; the JVM uses no archive then: pack it into a jar");
            }
        } else if (file.isFile()) {
            read(file, path);
        } else if (file.exists()) {
            throw refused(path + " is neither a jar nor a folder");
        } else if (!ascii(path)) {
            throw refused(path + " is not found under this locale; set LC_ALL=C.UTF-8");
        }
    }

    private void read(File file, String path) throws Refusal {
        FileNotes.Found found;
        try {
            String state = FileNotes.state(file.toPath());
            found = notes.found(path, state);
            if (found == null) {
                found = found(file);
                if (!state.equals(FileNotes.state(file.toPath()))) {
                    throw new IOException("it changes while it is read");
                }
                notes.note(path, state, found);
            }
        } catch (IOException error) {
            throw refused(path + " can't be read as a jar: " + error.getMessage());
        }
        jars.add(new Jar(path, file.length(), file.lastModified() / 1000, found.digest));
        String named = found.more;
        if (named != null) {
            File folder = file.getParentFile();
            for (String entry : named.split(" ")) {
                if (!entry.isEmpty() && local(entry)) {
                    String name = decoded(entry.startsWith("file:") ? entry.substring(5) : entry);
                    add(name.startsWith("/") ? new File(name) : new File(folder, name));
                }
            }
        }
    }

    private static FileNotes.Found found(File file) throws IOException {
        try (Zip zip = new Zip(file.toPath())) {
            return new FileNotes.Found(zip.fingerprint(), classPath(zip.manifest()));
        }
    }

    private static boolean local(String entry) {
        int colon = entry.indexOf(':');
        return colon < 0 || entry.indexOf('/') >= 0 && entry.indexOf('/') < colon || entry.startsWith("file:");
    }

    /** The Class-Path of a manifest's main section; null if it has none. */
    static String classPath(String manifest) {
        StringBuilder value = null;
        for (String line : manifest == null ? new String[0] : manifest.split("\r\n|\n|\r")) {
            if (line.isEmpty()) {
                break;
            }
            if (value != null && line.charAt(0) == ' ') {
                value.append(line, 1, line.length());
            } else if (value != null) {
                break;
            } else if (line.toLowerCase(Locale.ROOT).startsWith(CLASS_PATH)) {
                value = new StringBuilder(line.substring(CLASS_PATH.length())); // a blank at its end matters
            }
        }
        return value == null ? null : value.toString();
    }

    private static String decoded(String url) {
        if (url.indexOf('%') < 0) {
            return url;
        }
        byte[] bytes = url.getBytes(StandardCharsets.UTF_8);
        byte[] plain = new byte[bytes.length];
        int length = 0;
        for (int at = 0; at < bytes.length; at++) {
            int high = bytes[at] == '%' && at + 2 < bytes.length ? Character.digit(bytes[at + 1], 16) : -1;
            int low = high < 0 ? -1 : Character.digit(bytes[at + 2], 16);
            plain[length++] = low < 0 ? bytes[at] : (byte) (high << 4 | low);
            at += low < 0 ? 0 : 2;
        }
        return new String(plain, 0, length, StandardCharsets.UTF_8);
    }

    private static boolean ascii(String text) {
        for (int at = 0; at < text.length(); at++) {
            if (text.charAt(at) > '~') {
                return false;
            }
        }
        return true;
    }

    private static Refusal refused(String why) {
        return new Refusal(Outcome.CLASSPATH, why);
    }
}
