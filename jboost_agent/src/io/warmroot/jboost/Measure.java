package io.warmroot.jboost;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Starts measured alternately, plain against warm. In every other pair the warm one goes first, so that a
 * machine that gets slower or faster meanwhile favours neither.
 */
final class Measure {
    /** Something that can be started once. */
    interface Start {
        /** Milliseconds until it was ready. */
        long milliseconds() throws Failure, InterruptedException;
    }

    /** Starts a side with which the service can refuse an archive for good: see its promotion rules. */
    private static final int CLEAR = 5;

    private final int samples;
    private final int minGain;
    private final List<Long> plain = new ArrayList<>();
    private final List<Long> warm = new ArrayList<>();

    /** {@code samples} a side; {@code minGain} in percent of the plain median. */
    Measure(int samples, int minGain) {
        this.samples = samples;
        this.minGain = minGain;
    }

    /** Measures, until all samples are there or no further one could bring the gain. */
    void run(Start plainStart, Start warmStart) throws Failure, InterruptedException {
        for (int pair = 0; pair < samples && !hopeless(); pair++) {
            if (pair % 2 == 0) {
                plain.add(plainStart.milliseconds());
                warm.add(warmStart.milliseconds());
            } else {
                warm.add(warmStart.milliseconds());
                plain.add(plainStart.milliseconds());
            }
        }
    }

    /**
     * Whether the gain is out of reach even if all further plain starts took forever and warm ones no time, and
     * clearly so: fewer starts may all have met a busy moment.
     */
    boolean hopeless() {
        return warm.size() >= CLEAR && clearlyMissed() && hopeless(plain, warm, samples, minGain);
    }

    static boolean hopeless(List<Long> plain, List<Long> warm, int samples, int minGain) {
        double slowest = median(filled(plain, samples, Long.MAX_VALUE));
        double fastest = median(filled(warm, samples, 0));
        return fastest * 100 > slowest * (100 - minGain);
    }

    private boolean clearlyMissed() {
        return least(warm) * 100 > most(plain) * (100 - minGain);
    }

    /** Percent of the plain median by which warm starts are shorter; negative if they are longer. */
    double gain() {
        double base = median(numbers(plain));
        return base == 0 ? 0 : (base - median(numbers(warm))) * 100 / base;
    }

    List<Long> plain() {
        return List.copyOf(plain);
    }

    List<Long> warm() {
        return List.copyOf(warm);
    }

    /** Medians, ranges, and how clearly the two can be told apart. */
    String words() {
        int wins = 0;
        for (int pair = 0; pair < Math.min(plain.size(), warm.size()); pair++) {
            wins += warm.get(pair) < plain.get(pair) ? 1 : 0;
        }
        return "plain " + spread(plain) + ", warm " + spread(warm) + "; warm was faster in " + wins + " of "
                + warm.size() + " pairs" + (apart() ? ", and each warm start than every plain one" : "");
    }

    private boolean apart() {
        return most(warm) < least(plain);
    }

    private static long least(List<Long> values) {
        return Arrays.stream(numbers(values)).min().orElse(0);
    }

    private static long most(List<Long> values) {
        return Arrays.stream(numbers(values)).max().orElse(0);
    }

    private static String spread(List<Long> values) {
        long[] sorted = Arrays.stream(numbers(values)).sorted().toArray();
        return Math.round(median(sorted)) + " ms (" + sorted[0] + "-" + sorted[sorted.length - 1] + ")";
    }

    private static long[] numbers(List<Long> values) {
        return values.stream().mapToLong(Long::longValue).toArray();
    }

    private static long[] filled(List<Long> values, int count, long filler) {
        long[] all = new long[Math.max(count, values.size())];
        Arrays.fill(all, filler);
        for (int index = 0; index < values.size(); index++) {
            all[index] = values.get(index);
        }
        return all;
    }

    private static double median(long[] values) {
        long[] sorted = values.clone();
        Arrays.sort(sorted);
        int middle = sorted.length / 2;
        return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] / 2.0 + sorted[middle] / 2.0);
    }
}
