package io.warmroot.jboost;

/** A moment after which nobody waits any more. Monotonic: a clock that is set makes no difference. */
final class Deadline {
    private final long nanos;
    /** How long it was from the beginning, in milliseconds. */
    final long budget;

    private Deadline(long nanos, long budget) {
        this.nanos = nanos;
        this.budget = budget;
    }

    static Deadline in(long milliseconds) {
        return new Deadline(System.nanoTime() + milliseconds * 1_000_000, milliseconds);
    }

    /** Milliseconds that are left; 0 if none are. */
    long left() {
        return Math.max(0, (nanos - System.nanoTime() + 999_999) / 1_000_000);
    }

    boolean passed() {
        return nanos - System.nanoTime() <= 0;
    }
}
