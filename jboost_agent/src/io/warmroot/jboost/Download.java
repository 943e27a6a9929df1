package io.warmroot.jboost;

import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.SocketTimeoutException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;

/**
 * Brings one archive: never more bytes than were signed, hashed on another thread while they come, and given its
 * name only once the digest is right.
 */
final class Download extends Step<Boolean> {
    private static final int BLOCK = 1 << 18;
    private static final int BLOCKS = 8;
    private static final int REDIRECTS = 2;

    private final Service service;
    private final Archives archives;
    private final Manifest manifest;
    private final Path archive;
    private final Deadline deadline;
    private final List<Http> connections = new ArrayList<>();
    private boolean abandoned;
    private volatile Path partial;

    Download(Service service, Archives archives, Manifest manifest, Path archive, Deadline deadline) {
        super("fetching the archive");
        this.service = service;
        this.archives = archives;
        this.manifest = manifest;
        this.archive = archive;
        this.deadline = deadline;
    }

    /**
     * Has the archive on the disk under its name when it returns.
     *
     * @throws Refusal {@code budget}, {@code server}, {@code signature}, or {@code off} where the disk refuses
     */
    void bring() throws Refusal {
        start();
        try {
            await(deadline);
        } catch (SocketTimeoutException late) {
            throw new Refusal(Outcome.BUDGET, getName() + " took longer than " + deadline.budget + " ms");
        } catch (IOException error) {
            throw new Refusal(Outcome.SERVER, getName() + " failed: " + error.getMessage());
        } finally {
            close();
            sweep();
        }
    }

    @Override
    protected Boolean work() throws IOException, Refusal {
        try {
            if (archives.atHand(archive, manifest, true)) {
                return false;
            }
            partial = archives.partial(manifest);
        } catch (IOException error) {
            throw disk(error);
        }
        Http.Reply reply = ask();
        String length = reply.headers.get("content-length");
        if (length != null && !length.equals(Long.toString(manifest.size))) {
            throw server("it offers " + length + " bytes where " + manifest.size + " were signed");
        }
        String digest = receive(reply.body);
        if (!digest.equals(manifest.digest)) {
            throw new Refusal(Outcome.SIGNATURE, "the archive's bytes are not those that were signed");
        }
        try {
            archives.keep(partial, archive);
        } catch (IOException error) {
            throw disk(error);
        }
        return true;
    }

    private Http.Reply ask() throws IOException, Refusal {
        URI uri = service.uri("/v1/archives/" + manifest.digest);
        boolean ours = true;
        for (int hop = 0; hop <= REDIRECTS; hop++) {
            ours &= service.owns(uri); // once elsewhere, the token stays here
            Http.Reply reply = connection().send("GET", uri, ours ? service.token() : null, null);
            if (reply.code == 200) {
                return reply;
            }
            String location = reply.headers.get("location");
            if (reply.code != 307 || location == null) {
                throw Service.refused(reply);
            }
            try {
                uri = uri.resolve(location);
            } catch (IllegalArgumentException error) {
                throw server("it redirects to what is no address");
            }
        }
        throw server("it redirects more than " + REDIRECTS + " times");
    }

    private synchronized Http connection() throws IOException {
        if (abandoned) {
            throw new IOException("no time left");
        }
        Http http = new Http(deadline);
        connections.add(http);
        return http;
    }

    private String receive(InputStream body) throws IOException, Refusal {
        Digesting digesting = new Digesting();
        digesting.start();
        long rest = manifest.size;
        OutputStream out;
        try {
            out = new FileOutputStream(partial.toFile());
        } catch (IOException error) {
            throw disk(error);
        }
        try (out) {
            while (true) {
                byte[] block = digesting.free();
                int count = body.readNBytes(block, 0, block.length);
                rest -= count;
                if (rest < 0) {
                    throw server("it sends more than the " + manifest.size + " bytes that were signed");
                }
                if (count == 0) {
                    break;
                }
                digesting.take(block, count);
                write(out, block, count);
            }
        } finally {
            digesting.end();
        }
        if (rest > 0) {
            throw server("the archive ends " + rest + " bytes before its end");
        }
        return digesting.digest();
    }

    private static void write(OutputStream out, byte[] block, int count) throws Refusal {
        try {
            out.write(block, 0, count);
        } catch (IOException error) {
            throw disk(error);
        }
    }

    private static Refusal disk(IOException error) {
        return new Refusal(Outcome.OFF, "the archive can't be kept: " + error.getMessage());
    }

    private static Refusal server(String what) {
        return new Refusal(Outcome.SERVER, "the cache service serves another thing than it proposed: " + what);
    }

    @Override
    protected void abandon() {
        close();
    }

    private synchronized void close() {
        abandoned = true;
        for (Http http : connections) {
            http.close();
        }
    }

    /** Whatever happened, no part of a download stays. */
    private void sweep() {
        try {
            if (partial != null) {
                Files.deleteIfExists(partial);
            }
        } catch (IOException stays) {
            partial = null; // a later run sweeps it away
        }
    }

    /** Hashes blocks in their order on a thread of its own. */
    private static final class Digesting extends Thread {
        private static final byte[] END = {};

        private final MessageDigest digest = Hashing.sha256();
        private final ArrayBlockingQueue<byte[]> full = new ArrayBlockingQueue<>(BLOCKS + 1);
        private final ArrayBlockingQueue<Integer> lengths = new ArrayBlockingQueue<>(BLOCKS + 1);
        private final ArrayBlockingQueue<byte[]> free = new ArrayBlockingQueue<>(BLOCKS);

        Digesting() {
            super("digest");
            setDaemon(true);
            for (int block = 0; block < BLOCKS; block++) {
                free.add(new byte[BLOCK]);
            }
        }

        /** A block that nobody uses any more. */
        byte[] free() throws IOException {
            try {
                return free.take();
            } catch (InterruptedException told) {
                throw new IOException("interrupted");
            }
        }

        /** The block is not written to again before it comes back as free; it may be read meanwhile. */
        void take(byte[] block, int length) {
            lengths.add(length);
            full.add(block);
        }

        void end() {
            full.add(END);
        }

        @Override
        public void run() {
            try {
                for (byte[] block = full.take(); block != END; block = full.take()) {
                    digest.update(block, 0, lengths.take());
                    free.add(block);
                }
            } catch (InterruptedException told) {
                interrupt();
            }
        }

        String digest() throws IOException {
            try {
                join();
            } catch (InterruptedException told) {
                throw new IOException("interrupted");
            }
            return Hex.of(digest.digest());
        }
    }
}
