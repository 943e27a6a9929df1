package io.warmroot.jboost;

import java.io.Closeable;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.zip.DataFormatException;
import java.util.zip.Inflater;

/**
 * The central directory of a ZIP file, found as the JDK finds it: from the end of the file, so that what stands
 * before the first entry (a script that starts the jar, say) makes no difference.
 */
final class Zip implements Closeable {
    /** A central directory that is longer is not read: no jar that is started has one. */
    static final int LONGEST = 256 << 20;
    private static final int MANIFEST = 1 << 20;
    private static final int END = 22;
    private static final int END64 = 56;
    private static final int LOCATOR64 = 20;
    private static final int COMMENT = 0xffff;
    private static final int NEAR = 4096;
    private static final byte[] NAME = "META-INF/MANIFEST.MF".getBytes(StandardCharsets.US_ASCII);

    private final RandomAccessFile file;
    final long size;
    private long begin;
    private ByteBuffer directory;

    /** Opens and reads the directory. IOException if this is no whole ZIP file. */
    Zip(Path path) throws IOException {
        file = new RandomAccessFile(path.toFile(), "r");
        try {
            size = file.length();
            directory();
        } catch (IOException | RuntimeException error) {
            file.close();
            throw error instanceof IOException ? (IOException) error : broken();
        }
    }

    private void directory() throws IOException {
        ByteBuffer tail = tail(NEAR);
        int end = end(tail);
        if (end < 0) {
            tail = tail(END + COMMENT + LOCATOR64);
            end = end(tail);
        }
        if (end < 0) {
            throw broken();
        }
        long position = size - tail.limit() + end;
        long length = tail.getInt(end + 12) & 0xffffffffL;
        long offset = tail.getInt(end + 16) & 0xffffffffL;
        boolean large = length == 0xffffffffL || offset == 0xffffffffL || (tail.getShort(end + 10) & 0xffff) == 0xffff;
        ByteBuffer locator = large && position >= LOCATOR64 ? read(position - LOCATOR64, LOCATOR64) : null;
        if (locator != null && locator.getInt(0) == 0x07064b50) {
            position = locator.getLong(8);
            ByteBuffer end64 = read(position, END64);
            if (end64.getInt(0) != 0x06064b50) {
                throw broken();
            }
            length = end64.getLong(40);
            offset = end64.getLong(48);
        }
        begin = position - length - offset;
        if (length < 0 || length > LONGEST || offset < 0 || begin < 0) {
            throw broken();
        }
        directory = read(position - length, (int) length);
        if (length > 0 && (length < 46 || directory.getInt(0) != 0x02014b50)) {
            throw broken();
        }
    }

    private ByteBuffer tail(int length) throws IOException {
        int least = (int) Math.min(size, length);
        return read(size - least, least);
    }

    /** Where the end record begins; it ends with the file. -1 if it is not here. */
    private static int end(ByteBuffer tail) {
        for (int at = tail.limit() - END; at >= 0; at--) {
            if (tail.getInt(at) == 0x06054b50 && at + END + (tail.getShort(at + 20) & 0xffff) == tail.limit()) {
                return at;
            }
        }
        return -1;
    }

    private ByteBuffer read(long at, int length) throws IOException {
        if (at < 0 || at + length > size) {
            throw broken();
        }
        byte[] bytes = new byte[length];
        file.seek(at);
        file.readFully(bytes);
        return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    private static IOException broken() {
        return new IOException("not a whole ZIP file");
    }

    /**
     * sha256 over the central directory, byte for byte as it stands in the file (names, sizes, CRC-32s, times,
     * order), and then the size of the whole file as eight bytes, high byte first.
     */
    String fingerprint() {
        MessageDigest digest = Hashing.sha256();
        digest.update(directory.array());
        digest.update(ByteBuffer.allocate(8).putLong(size).array());
        return Hex.of(digest.digest());
    }

    /** The text of the manifest; null if there is none. */
    String manifest() throws IOException {
        int at = 0;
        while (at + 46 <= directory.limit() && directory.getInt(at) == 0x02014b50) {
            int name = directory.getShort(at + 28) & 0xffff;
            int rest = (directory.getShort(at + 30) & 0xffff) + (directory.getShort(at + 32) & 0xffff);
            if (name == NAME.length && at + 46 + name <= directory.limit() && named(at + 46)) {
                return new String(entry(at), StandardCharsets.UTF_8);
            }
            at += 46 + name + rest;
        }
        return null;
    }

    private boolean named(int at) {
        for (int index = 0; index < NAME.length; index++) {
            if (directory.get(at + index) != NAME[index]) {
                return false;
            }
        }
        return true;
    }

    private byte[] entry(int at) throws IOException {
        int method = directory.getShort(at + 10);
        long packed = directory.getInt(at + 20) & 0xffffffffL;
        long length = directory.getInt(at + 24) & 0xffffffffL;
        long offset = directory.getInt(at + 42) & 0xffffffffL;
        if (length > MANIFEST || packed > MANIFEST || offset == 0xffffffffL || method != 0 && method != 8) {
            throw new IOException("a manifest that this agent can't read");
        }
        ByteBuffer head = read(begin + offset, 30);
        if (head.getInt(0) != 0x04034b50) {
            throw broken();
        }
        long data = begin + offset + 30 + (head.getShort(26) & 0xffff) + (head.getShort(28) & 0xffff);
        byte[] bytes = read(data, (int) packed).array();
        return method == 0 ? bytes : inflate(bytes, (int) length);
    }

    private static byte[] inflate(byte[] packed, int length) throws IOException {
        Inflater inflater = new Inflater(true);
        try {
            byte[] bytes = new byte[length];
            inflater.setInput(packed);
            int done = 0;
            while (done < length && !inflater.finished()) {
                int count = inflater.inflate(bytes, done, length - done);
                if (count == 0) {
                    throw broken();
                }
                done += count;
            }
            return bytes;
        } catch (DataFormatException error) {
            throw broken();
        } finally {
            inflater.end();
        }
    }

    @Override
    public void close() throws IOException {
        file.close();
    }
}
