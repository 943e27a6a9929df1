package io.warmroot.jboost;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;

/**
 * What earlier runs found out about files that have not changed since, and manifests whose signature was verified:
 * {@code notes.json}. A cold JVM hashes slowly.
 *
 * <p>Why this is safe: a file counts as unchanged if device, inode, size, mtime and ctime are the same to the
 * nanosecond. Every write and every rename over a file changes its ctime or its inode, and no program can set a
 * ctime. A file that was changed less than two seconds before it was looked at is not noted: within one tick of
 * the file system's clock two states can have one time. Whoever may write the notes may write java.opts as well.
 * What depends on the cgroup or on options is never noted.
 */
final class FileNotes {
    static final String NAME = "notes.json";
    private static final long SETTLED_MS = 2000;
    private static final int LONGEST = 8 << 20;
    private static final int SIGNED = 8;

    /** What was found in a file: a digest, and what else its reader wants to remember (may be null). */
    static final class Found {
        final String digest;
        final String more;

        Found(String digest, String more) {
            this.digest = digest;
            this.more = more;
        }
    }

    private final Map<String, Object> known = new HashMap<>();
    private final TreeMap<String, Object> used = new TreeMap<>();
    private final List<Object> signed = new ArrayList<>();
    private boolean changed;

    /** The notes in this folder; none if they can't be read. */
    static FileNotes in(Path folder) {
        FileNotes notes = new FileNotes();
        Path path = folder.resolve(NAME);
        try {
            if (path.toFile().length() <= LONGEST) {
                Map<String, Object> tree = Json.object(Files.readAllBytes(path));
                notes.known.putAll(Json.object(tree.get("files"), "files"));
                notes.signed.addAll(Json.list(tree.get("signed"), "signed"));
            }
        } catch (IOException | Json.Odd none) {
            notes.known.clear(); // they only save time
        }
        return notes;
    }

    /** A file's state as text: nothing has written to it as long as this is the same. IOException if it is gone. */
    static String state(Path path) throws IOException {
        Map<String, Object> now = Files.readAttributes(path, "unix:dev,ino,size,lastModifiedTime,ctime");
        return now.get("dev") + " " + now.get("ino") + " " + now.get("size") + " "
                + nanos(now.get("lastModifiedTime")) + " " + nanos(now.get("ctime"));
    }

    private static long nanos(Object time) {
        return ((FileTime) time).to(TimeUnit.NANOSECONDS);
    }

    /** What an earlier run found in this file, which is still in this state; null if nothing is known. */
    synchronized Found found(String path, String state) {
        Object note = known.get(path);
        if (note instanceof List && ((List<?>) note).size() == 3) {
            List<?> parts = (List<?>) note;
            Object more = parts.get(2);
            boolean sound = parts.get(1) instanceof String && (more == null || more instanceof String);
            if (sound && state.equals(parts.get(0))) {
                used.put(path, note);
                return new Found((String) parts.get(1), (String) more);
            }
        }
        return null;
    }

    /** Notes what was found in a file that was in this state before and after. */
    synchronized void note(String path, String state, Found found) {
        long ctime = Long.parseLong(state.substring(state.lastIndexOf(' ') + 1)) / 1_000_000;
        if (System.currentTimeMillis() - ctime > SETTLED_MS) {
            List<Object> note = new ArrayList<>();
            note.add(state);
            note.add(found.digest);
            note.add(found.more);
            used.put(path, note);
            changed = true;
        }
    }

    /** Whether there are manifests that need no verifying. */
    boolean hasSigned() {
        return !signed.isEmpty();
    }

    /** Whether a signature was verified before; {@code name} is a digest of the keys and of what they signed. */
    boolean isSigned(String name) {
        return signed.contains(name);
    }

    /** Remembers a verified signature. */
    void sign(String name) {
        signed.add(0, name);
        if (signed.size() > SIGNED) {
            signed.remove(SIGNED);
        }
        changed = true;
    }

    /** Leaves the notes for the next run, if there is something new. */
    synchronized void write(Path folder) throws IOException {
        if (changed) {
            TreeMap<String, Object> tree = new TreeMap<>();
            tree.put("files", used);
            tree.put("signed", signed);
            OptionsFile.replace(folder.resolve(NAME), tree);
        }
    }
}
