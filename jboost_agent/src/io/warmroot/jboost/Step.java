package io.warmroot.jboost;

import java.io.IOException;

/**
 * A piece of work on a thread of its own, for which nobody waits longer than agreed. Work that blocks where Java
 * has no time limit (names, disks, writes, children) is left behind: the process ends soon and takes it along.
 */
abstract class Step<T> extends Thread {
    private T value;
    private Throwable problem;

    Step(String name) {
        super(name);
        setDaemon(true);
    }

    /** The work. */
    protected abstract T work() throws Exception;

    /** Ends what would go on behind an abandoned step: a child, a connection. */
    protected void abandon() {}

    @Override
    public final void run() {
        try {
            value = work();
        } catch (Throwable any) { // an entry point: whoever waits gets it
            problem = any;
        }
    }

    /**
     * The result of a step that was started.
     *
     * @throws Refusal the step's own, or {@code budget} where time ran out
     * @throws IOException the step's own
     */
    final T await(Deadline deadline) throws Refusal, IOException {
        try {
            join(Math.max(1, deadline.left()));
        } catch (InterruptedException told) {
            interrupt(); // nobody interrupts us but somebody who wants all of this to end
        }
        if (isAlive()) {
            abandon();
            throw new Refusal(Outcome.BUDGET, getName() + " took longer than " + deadline.budget + " ms");
        }
        if (problem instanceof Refusal) {
            throw (Refusal) problem;
        }
        if (problem instanceof IOException) {
            throw (IOException) problem;
        }
        if (problem != null) {
            throw new IllegalStateException(getName() + ": " + problem, problem);
        }
        return value;
    }
}
