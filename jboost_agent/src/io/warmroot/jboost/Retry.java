package io.warmroot.jboost;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Requests of verbs that have time: sent again while the service can't be reached or asks to come back, until
 * their time is up. All that is sent so may be sent twice. Files go as they lie on the disk, never through memory.
 */
final class Retry {
    private static final int LONGEST_ANSWER = 1 << 20;
    private static final long FIRST_PAUSE_MS = 200;
    private static final long LONGEST_PAUSE_MS = 5_000;

    /** What is sent: the first {@code size} bytes of a file, or bytes. */
    record Body(Path file, byte[] bytes, long size) {
        static Body of(Path file, long size) {
            return new Body(file, null, size);
        }

        static Body of(Map<String, ?> json) {
            byte[] bytes = Json.canonical(json);
            return new Body(null, bytes, bytes.length);
        }

        private InputStream open() throws IOException {
            return file == null ? new ByteArrayInputStream(bytes) : Files.newInputStream(file);
        }

        private String type() {
            return file == null ? "application/json" : "application/octet-stream";
        }
    }

    /** The answer: its code, and its JSON (empty if it went to a file). */
    record Reply(int code, byte[] body) {
        boolean good() {
            return code / 100 == 2;
        }

        /** Whether another time the answer may be another. */
        private boolean passing() {
            return code >= 500 || code == 429 || code == 408;
        }

        /** Its fields. */
        Map<String, Object> fields() throws Failure {
            try {
                return Json.object(body);
            } catch (Json.Odd odd) {
                throw new Failure("NoService", "the answer makes no sense: " + odd.getMessage(),
                        "check that --server is the address of a cache service");
            }
        }

        /** Why it refuses, in the service's own words. */
        Failure refusal() {
            try {
                Map<String, Object> error = Json.object(Json.object(body).get("error"), "error");
                Object hint = error.get("hint");
                return new Failure(Json.string(error.get("reason"), "reason"),
                        Json.string(error.get("message"), "message"), hint instanceof String text ? text : "");
            } catch (Json.Odd odd) {
                return new Failure("NoService", "the cache service answers with " + code,
                        "check that --server is its address");
            }
        }
    }

    private final Service service;
    private final Duration atMost;
    private volatile Http current;
    private volatile String last = "no answer";

    /** {@code service} has the token; {@code atMost} is the time of each request with all its repetitions. */
    Retry(Service service, Duration atMost) {
        this.service = service;
        this.atMost = atMost;
    }

    /**
     * The service's answer, whatever it is.
     *
     * @param body null for none
     * @throws Failure NoService: none came in time
     */
    Reply send(String method, URI uri, Body body) throws Failure, InterruptedException {
        return send(method, uri, body, null);
    }

    /** Gets what is at this address into a file, which is there as a whole or not at all. */
    Reply download(URI uri, Path into) throws Failure, InterruptedException {
        return send("GET", uri, null, into);
    }

    private Reply send(String method, URI uri, Body body, Path into) throws Failure, InterruptedException {
        Deadline deadline = Deadline.in(atMost.toMillis());
        FutureTask<Reply> task = new FutureTask<>(() -> repeat(method, uri, body, into, deadline));
        // A thread of its own: nothing ends a write to somebody who does not read, nor the look-up of a name.
        Thread thread = new Thread(task, "request");
        thread.setDaemon(true);
        thread.start();
        try {
            return task.get(deadline.left(), TimeUnit.MILLISECONDS);
        } catch (TimeoutException late) {
            last = "no answer in time; before: " + last;
        } catch (ExecutionException error) {
            if (error.getCause() instanceof Refusal refusal) {
                throw new Failure("NoToken", refusal.getMessage(), "give --token a file with one token");
            }
            last = String.valueOf(error.getCause().getMessage());
        } finally {
            thread.interrupt();
            Http open = current;
            if (open != null) {
                open.close();
            }
        }
        throw new Failure("NoService", "not within " + atMost.toSeconds() + " s: " + method + " " + uri.getPath()
                + ": " + last, "check the cache service at " + uri.getAuthority());
    }

    private Reply repeat(String method, URI uri, Body body, Path into, Deadline deadline)
            throws IOException, InterruptedException, Refusal {
        for (long pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
            boolean lastTime = deadline.left() < pause;
            try {
                Reply reply = once(method, uri, body, into, deadline);
                if (!reply.passing() || lastTime) {
                    return reply;
                }
                last = "it answers with " + reply.code();
            } catch (IOException error) {
                if (lastTime) {
                    throw error;
                }
                last = String.valueOf(error.getMessage());
            }
            Thread.sleep(pause);
        }
    }

    private Reply once(String method, URI uri, Body body, Path into, Deadline deadline) throws IOException, Refusal {
        String shown = service.token(); // anew each time: a projected one is exchanged while pods run
        try (Http http = new Http(deadline);
                InputStream bytes = body == null ? InputStream.nullInputStream() : body.open()) {
            current = http;
            Http.Reply reply = http.send(method, uri, shown,
                    body == null ? null : new Http.Body(bytes, body.size(), body.type()));
            if (into == null || reply.code != 200) {
                return new Reply(reply.code, reply.bytes(LONGEST_ANSWER));
            }
            Path partial = into.resolveSibling(into.getFileName() + ".partial");
            Files.copy(reply.body, partial, StandardCopyOption.REPLACE_EXISTING);
            Files.move(partial, into, StandardCopyOption.ATOMIC_MOVE);
            return new Reply(reply.code, new byte[0]);
        }
    }
}
