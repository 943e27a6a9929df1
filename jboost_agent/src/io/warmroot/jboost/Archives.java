package io.warmroot.jboost;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.BasicFileAttributes;

/**
 * The archives on this disk, each named by its digest. Beside one that was hashed lies a note of its size, inode,
 * mtime and ctime at that time. No program can set a ctime back, so as long as the note fits nobody has written to
 * the file since; else it is hashed again. (Whoever may write the notes may write java.opts as well.)
 */
final class Archives {
    private static final long ABANDONED_MS = 600_000;

    private final Path folder;

    Archives(Path dir) {
        this.folder = dir.resolve("archives");
    }

    Path path(int feature, Manifest manifest) {
        return folder.resolve(Flags.fileName(feature, manifest.digest));
    }

    /**
     * Whether these very bytes are here.
     *
     * @param note whether to leave a note, so that the next time is quicker
     */
    boolean atHand(Path archive, Manifest manifest, boolean note) throws IOException {
        String now;
        try {
            now = FileNotes.state(archive);
        } catch (NoSuchFileException none) {
            return false;
        }
        if (now.equals(noted(archive))) {
            return Files.size(archive) == manifest.size;
        }
        if (Files.size(archive) != manifest.size || !Hex.of(Hashing.whole(archive)).equals(manifest.digest)) {
            return false;
        }
        if (!now.equals(FileNotes.state(archive))) {
            return false; // it changed while it was read
        }
        if (note) {
            note(archive, now);
        }
        return true;
    }

    private static Path sidecar(Path archive) {
        return archive.resolveSibling(archive.getFileName() + ".verified");
    }

    private static String noted(Path archive) {
        try {
            return new String(Files.readAllBytes(sidecar(archive)), StandardCharsets.US_ASCII);
        } catch (IOException none) {
            return "";
        }
    }

    /** A name for a download of this archive that nobody else uses. What died here long ago is swept away. */
    Path partial(Manifest manifest) throws IOException {
        Files.createDirectories(folder);
        String[] names = folder.toFile().list();
        for (String name : names == null ? new String[0] : names) {
            Path path = folder.resolve(name);
            if (name.endsWith(".part") && old(path)) {
                Files.deleteIfExists(path);
            }
        }
        return folder.resolve(manifest.digest + "." + OptionsFile.unique() + ".part");
    }

    private static boolean old(Path path) throws IOException {
        try {
            BasicFileAttributes attributes = Files.readAttributes(path, BasicFileAttributes.class);
            return System.currentTimeMillis() - attributes.lastModifiedTime().toMillis() > ABANDONED_MS;
        } catch (NoSuchFileException gone) {
            return false;
        }
    }

    /** Gives a download whose bytes were verified while they came its name. */
    void keep(Path partial, Path archive) throws IOException {
        Files.move(partial, archive, StandardCopyOption.ATOMIC_MOVE);
        note(archive, FileNotes.state(archive));
    }

    private static void note(Path archive, String state) {
        try {
            Files.write(sidecar(archive), state.getBytes(StandardCharsets.US_ASCII));
        } catch (IOException unwritten) {
            return; // the next run hashes it again
        }
    }
}
