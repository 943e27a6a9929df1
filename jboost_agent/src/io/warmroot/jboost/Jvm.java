package io.warmroot.jboost;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.List;
import java.util.Map;

/** One build of one JDK. A jlinked runtime prints the same text as the whole JDK, so its files are looked at. */
final class Jvm {
    /** Older ones are not served. */
    static final int OLDEST = 17;
    private static final int SAMPLES = 128;
    private static final int SAMPLE = 4096;

    final int feature;
    final String arch;
    final String internalVersion;
    final String libjvm;
    final long modulesSize;
    final String modulesDigest;

    /**
     * @param internalVersion what {@code -Xinternalversion} prints
     * @throws Refusal this is no HotSpot of 17 or later
     */
    Jvm(String internalVersion, String libjvm, long modulesSize, String modulesDigest) throws Refusal {
        this.internalVersion = internalVersion;
        String platform = between(internalVersion, " for ", " ");
        this.arch = platform.substring(platform.lastIndexOf('-') + 1);
        this.feature = number(between(internalVersion, " JRE (", ")"));
        this.libjvm = libjvm;
        this.modulesSize = modulesSize;
        this.modulesDigest = modulesDigest;
    }

    private static String between(String text, String before, String after) throws Refusal {
        int begin = text.indexOf(before);
        int end = begin < 0 ? -1 : text.indexOf(after, begin + before.length());
        if (end < 0) {
            throw new Refusal(Outcome.OFF, "this is no HotSpot JVM: " + text);
        }
        return text.substring(begin + before.length(), end);
    }

    private static int number(String version) throws Refusal {
        int end = 0;
        while (end < version.length() && Character.isDigit(version.charAt(end))) {
            end++;
        }
        int feature = end == 0 || end > 4 ? 0 : Integer.parseInt(version.substring(0, end));
        if (feature < OLDEST) {
            throw new Refusal(Outcome.OFF, "Java " + version + " is older than " + OLDEST);
        }
        return feature;
    }

    /** The build key's part about the JVM. */
    Map<String, Object> tree() {
        return Map.of("feature", (long) feature, "arch", arch, "internalVersion", internalVersion, "libjvm", libjvm,
                "modulesSize", modulesSize, "modulesDigest", modulesDigest);
    }

    /** The JVM's own file. */
    static Path library(Path home) throws Refusal {
        for (String variant : List.of("server", "client", "minimal", "zero")) {
            Path library = home.resolve("lib").resolve(variant).resolve("libjvm.so");
            if (Files.isRegularFile(library)) {
                return library;
            }
        }
        throw new Refusal(Outcome.OFF, home + " has no libjvm.so");
    }

    /** The build id of a JVM's file in hex; its sha256 if the linker gave it none. */
    static String libjvm(Path library) throws IOException {
        byte[] id = Elf.buildId(library);
        return Hex.of(id != null ? id : Hashing.whole(library));
    }

    /**
     * The sampled digest of {@code lib/modules}, which is too large to read at each start: sha256 over the size as
     * eight bytes, high byte first, and then 128 blocks of 4,096 bytes, block i at i * (size - 4096) / 127
     * rounded down. A file that is not larger than its blocks is read whole after its size. It tells runtimes
     * apart, it is no integrity check.
     */
    static String sampled(Path modules) throws IOException {
        MessageDigest digest = Hashing.sha256();
        try (RandomAccessFile file = new RandomAccessFile(modules.toFile(), "r")) {
            long size = file.length();
            digest.update(ByteBuffer.allocate(8).putLong(size).array());
            if (size <= (long) SAMPLES * SAMPLE) {
                digest.update(block(file, 0, (int) size));
            } else {
                for (int sample = 0; sample < SAMPLES; sample++) {
                    digest.update(block(file, sample * (size - SAMPLE) / (SAMPLES - 1), SAMPLE));
                }
            }
        }
        return Hex.of(digest.digest());
    }

    private static byte[] block(RandomAccessFile file, long at, int length) throws IOException {
        byte[] block = new byte[length];
        file.seek(at);
        file.readFully(block);
        return block;
    }

    /** Names of the modules that a runtime has, as its {@code release} file tells; empty if it does not. */
    static List<String> modules(Path home) {
        try {
            String text = new String(Files.readAllBytes(home.resolve("release")), StandardCharsets.UTF_8);
            int begin = text.indexOf("MODULES=\"");
            int end = begin < 0 ? -1 : text.indexOf('"', begin + 9);
            return end < 0 ? List.of() : List.of(text.substring(begin + 9, end).split(" "));
        } catch (IOException none) {
            return List.of();
        }
    }
}
