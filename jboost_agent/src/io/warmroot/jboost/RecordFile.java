package io.warmroot.jboost;

import java.io.IOException;
import java.io.InputStream;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;

/** A recording on the disk, while a JVM writes it and afterwards. */
final class RecordFile {
    private static final int BLOCK = 1 << 16;
    private static final String KILLED = "a JVM that is killed with SIGKILL leaves nothing; end it with SIGTERM";

    private final Path path;
    private final boolean list;

    /** {@code list}: a class list, line by line; otherwise an AOT configuration, written as a whole at the end. */
    RecordFile(Path path, boolean list) {
        this.path = path;
        this.list = list;
    }

    Path path() {
        return path;
    }

    /** Bytes that are there; 0 if there is no such file. */
    long length() {
        return path.toFile().length();
    }

    /** Whether a JVM that started after this time (milliseconds since 1970) has opened it. */
    boolean begun(long since) {
        try {
            return Files.getLastModifiedTime(path).toMillis() >= since;
        } catch (IOException notThere) {
            return false;
        }
    }

    /**
     * Whether an AOT configuration is whole. The JVM writes its header last (seen on 25): until then the file
     * begins with zeros, however long it is already.
     */
    boolean whole() {
        try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "r")) {
            return !list && file.length() > Integer.BYTES && file.readInt() != 0;
        } catch (IOException notThere) {
            return false;
        }
    }

    /**
     * Bytes of it that can be used: of a list all whole lines, since a killed JVM may have torn the last one.
     *
     * @throws Failure EmptyRecording: there is nothing to use
     */
    long usable() throws Failure {
        if (!Files.exists(path)) {
            throw empty("there is no " + path, "check that the application starts with the options in java.opts");
        }
        try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "r")) {
            long size = file.length();
            if (size == 0) {
                throw empty(path + " is empty", KILLED);
            }
            if (list) {
                long lines = wholeLines(file, size);
                if (lines == 0) {
                    throw empty(path + " has no whole line", KILLED);
                }
                return lines;
            }
            if (!whole()) {
                throw empty(path + " was cut off while it was written", KILLED);
            }
            return size;
        } catch (IOException error) {
            throw empty(path + " can't be read: " + error.getMessage(), "run record as the application's user");
        }
    }

    /** The sha256 of its first {@code size} bytes, in hex. A list may grow meanwhile. */
    String sha256(long size) throws IOException {
        MessageDigest digest = Hashing.sha256();
        byte[] block = new byte[BLOCK];
        try (InputStream in = Files.newInputStream(path)) {
            for (long left = size; left > 0; ) {
                int count = in.read(block, 0, (int) Math.min(block.length, left));
                if (count < 0) {
                    throw new IOException("it became shorter");
                }
                digest.update(block, 0, count);
                left -= count;
            }
        }
        return Hex.of(digest.digest());
    }

    private static long wholeLines(RandomAccessFile file, long size) throws IOException {
        byte[] block = new byte[BLOCK];
        for (long end = size; end > 0; ) {
            int length = (int) Math.min(BLOCK, end);
            file.seek(end - length);
            file.readFully(block, 0, length);
            for (int index = length - 1; index >= 0; index--) {
                if (block[index] == '\n') {
                    return end - length + index + 1;
                }
            }
            end -= length;
        }
        return 0;
    }

    private static Failure empty(String message, String hint) {
        return new Failure("EmptyRecording", message, hint);
    }
}
