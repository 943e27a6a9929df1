package io.warmroot.jboost;

import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** Waits for the moment to end a recording: the application has served for a while, or it ended, or we must go. */
final class RecordWait {
    private static final long POLL_MS = 200;
    private static final long FIND_MS = 1000;
    private static final Duration RESTS = Duration.ofSeconds(3);

    /** Why the waiting is over. */
    enum Why {
        SETTLED("it ran long enough"),
        ENDED("the application ended"),
        TOLD("record was told to end");

        final String words;

        Why(String words) {
            this.words = words;
        }
    }

    private final RecordFile file;
    private final RecordTarget target;
    private final long since;
    private final CountDownLatch told;

    /** {@code since}: when the agent decided to record, in milliseconds since 1970; what is older is not it. */
    RecordWait(RecordFile file, RecordTarget target, long since, CountDownLatch told) {
        this.file = file;
        this.target = target;
        this.since = since;
        this.told = told;
    }

    /** Until the application is ready (by its address, or if null by recording) and the time has passed. */
    Why settled(Ready.Url ready, Duration settle) throws InterruptedException {
        long readyAt = 0;
        for (long turn = 0; ; turn++) {
            if (over()) {
                return Why.ENDED;
            }
            if (turn % (FIND_MS / POLL_MS) == 0) {
                target.find();
            }
            if (readyAt == 0 && file.begun(since) && (ready == null || ready.answers())) {
                readyAt = System.nanoTime();
            }
            if (readyAt != 0 && System.nanoTime() - readyAt >= settle.toNanos()) {
                return Why.SETTLED;
            }
            if (told.await(POLL_MS, TimeUnit.MILLISECONDS)) {
                return Why.TOLD;
            }
        }
    }

    /** Until the application has ended by itself; no longer than {@code atMost} once we were told to go. */
    Why ended(Duration atMost) throws InterruptedException {
        while (!over()) {
            if (told.await(POLL_MS, TimeUnit.MILLISECONDS)) {
                lastWait(atMost);
                return Why.TOLD;
            }
        }
        return Why.ENDED;
    }

    private void lastWait(Duration atMost) throws InterruptedException {
        long begin = System.nanoTime();
        long grown = begin;
        long size = file.length();
        while (!over() && System.nanoTime() - begin < atMost.toNanos()) {
            if (file.length() != size) {
                size = file.length();
                grown = System.nanoTime();
            }
            // Where its process can't be seen, a file that rests is all there is to go by.
            if (!target.seen() && System.nanoTime() - grown > RESTS.toNanos()) {
                return;
            }
            Thread.sleep(POLL_MS);
        }
    }

    private boolean over() {
        return target.ended() || file.begun(since) && file.whole();
    }
}
