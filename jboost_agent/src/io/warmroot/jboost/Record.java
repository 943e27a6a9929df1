package io.warmroot.jboost;

import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CountDownLatch;

/**
 * Ends a recording at the right moment and sends it to the cache service. Never at the application's cost:
 * whatever goes wrong is said in a line, and the exit code is 0.
 */
final class Record {
    /** The JVM stands still while it writes; a large application took eight seconds. */
    private static final Duration ENDING = Duration.ofSeconds(180);
    /** Once told to go: how long the application may still take to write its recording. */
    private static final Duration LEAVING = Duration.ofSeconds(60);

    private final RecordOptions options;
    private final CountDownLatch told = new CountDownLatch(1);
    private final CountDownLatch done = new CountDownLatch(1);

    Record(RecordOptions options) {
        this.options = options;
    }

    /** Until everything is said. SIGTERM and Ctrl-C mean: finish now, and still send what there is. */
    int run() {
        Runtime.getRuntime().addShutdownHook(new Thread(this::leave, "leave"));
        try {
            recorded();
            if (options.stay()) {
                say("stays until it is told to end: a native sidecar that ends is started again");
                told.await();
                say("was told to end");
            }
        } catch (InterruptedException mistake) {
            say("our own mistake, please report it: " + mistake);
        } finally {
            done.countDown();
        }
        return 0;
    }

    private void recorded() throws InterruptedException {
        try {
            record();
        } catch (Failure failure) {
            say(failure.toString());
        } catch (RuntimeException mistake) {
            say("our own mistake, please report it: " + mistake); // an entry point: no sidecar of ours crashes
        }
    }

    /** A JVM that a signal ends would say 143 though all is well. */
    private void leave() {
        told.countDown();
        try {
            done.await();
        } catch (InterruptedException impossible) {
            say("interrupted");
        }
        Runtime.getRuntime().halt(0);
    }

    private void record() throws Failure, InterruptedException {
        RecordLease lease = RecordLease.of(options.dir().resolve("report.json"));
        boolean list = lease.list();
        RecordFile file = new RecordFile(options.dir().resolve(list ? "recording.lst" : "recording.aotconf"), list);
        RecordTarget target =
                new RecordTarget(options.attachDir(), options.pid(), options.dir().resolve("java.opts"), list);
        RecordWait wait = new RecordWait(file, target, lease.since(), told);
        Duration settle = options.settle() == null ? lease.settle() : options.settle();
        say("waits until the application has been " + (options.ready() == null ? "recording" : "ready") + " for "
                + settle.toSeconds() + " s, or ends");
        RecordWait.Why why = wait.settled(options.ready(), settle);
        say(why.words);
        if (!list && why != RecordWait.Why.ENDED && !endThroughSocket(target)) {
            say("the recording ends with the application");
            say(wait.ended(LEAVING).words);
        }
        if (!file.begun(lease.since())) {
            throw new Failure("EmptyRecording", "this run wrote no " + file.path(),
                    "check that the application starts with the options in java.opts");
        }
        send(file, lease);
    }

    private static boolean endThroughSocket(RecordTarget target) throws InterruptedException {
        target.find();
        List<Path> sockets = target.sockets();
        if (sockets.isEmpty()) {
            say(Attach.End.NO_SOCKET.words);
        }
        for (Path socket : sockets) {
            Attach.Answer answer = Attach.endRecording(socket, ENDING);
            say(answer + " (" + socket + ")");
            if (answer.end().recorded()) {
                return true;
            }
        }
        return false;
    }

    private void send(RecordFile file, RecordLease lease) throws Failure, InterruptedException {
        long size = file.usable();
        long seconds = Math.max(0, (System.currentTimeMillis() - lease.since()) / 1000);
        String query = "?group=" + URLEncoder.encode(options.group(), StandardCharsets.UTF_8) + "&key=" + lease.key()
                + "&lease=" + lease.lease() + "&seconds=" + seconds + "&requests=0";
        try {
            Service service = new Service(options.server(), options.token());
            URI uri = service.uri("/v1/recordings/" + file.sha256(size) + query);
            Retry.Reply reply = new Retry(service, options.upload()).send("PUT", uri, Retry.Body.of(file.path(), size));
            if (!reply.good()) {
                throw reply.refusal();
            }
            Files.deleteIfExists(file.path());
            say("sent " + size + " bytes of " + seconds + " s (" + reply.fields().get("state") + ")");
        } catch (Failure failure) {
            throw new Failure(failure.reason, failure.getMessage() + "; " + file.path() + " stays",
                    failure.hint);
        } catch (IOException error) {
            throw new Failure("Unreadable", file.path() + " can't be read: " + error.getMessage(),
                    "run record as the application's user");
        }
    }

    private static void say(String words) {
        System.err.println("jboost record: " + words);
    }
}
