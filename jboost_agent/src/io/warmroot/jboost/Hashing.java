package io.warmroot.jboost;

import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/** SHA-256. */
final class Hashing {
    private static final int BLOCK = 1 << 18;

    private Hashing() {}

    static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException error) {
            throw new IllegalStateException(error); // every Java runtime has it
        }
    }

    static byte[] of(byte[] bytes) {
        return sha256().digest(bytes);
    }

    /** The digest of a whole file. */
    static byte[] whole(Path path) throws IOException {
        MessageDigest digest = sha256();
        byte[] block = new byte[BLOCK];
        try (InputStream in = new FileInputStream(path.toFile())) {
            for (int count = in.read(block); count >= 0; count = in.read(block)) {
                digest.update(block, 0, count);
            }
        }
        return digest.digest();
    }
}
