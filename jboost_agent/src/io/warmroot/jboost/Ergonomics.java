package io.warmroot.jboost;

import java.util.Map;

/** What the JVM chose, or was told, with the application's real flags inside the pod's own cgroup. */
final class Ergonomics {
    /** The last flag of the table, which is sorted, that is looked at. */
    static final String LAST = " UseZGC ";
    private static final long LARGE = 32L << 30;

    final boolean compressedOops;
    final boolean compressedClassPointers;
    final boolean compactHeaders;
    final long objectAlignment;
    final boolean largeHeap;
    final boolean z;
    /** Whether this JVM knows the option that keeps a CPU's adapters out of a cache. */
    final boolean adapters;

    /**
     * @param flags the table of {@code -XX:+PrintFlagsFinal}
     * @throws Refusal the table lacks what every HotSpot has
     */
    Ergonomics(String flags) throws Refusal {
        compressedOops = is(flags, "UseCompressedOops", false);
        compressedClassPointers = is(flags, "UseCompressedClassPointers", true);
        compactHeaders = is(flags, "UseCompactObjectHeaders", false);
        String alignment = value(flags, "ObjectAlignmentInBytes");
        String heap = value(flags, "MaxHeapSize");
        if (alignment == null || heap == null) {
            throw new Refusal(Outcome.OFF, "the JVM does not tell its flags");
        }
        objectAlignment = Long.parseLong(alignment);
        largeHeap = Long.parseUnsignedLong(heap) >= LARGE || Long.parseUnsignedLong(heap) < 0;
        z = is(flags, "UseZGC", false);
        adapters = value(flags, "AOTAdapterCaching") != null;
    }

    private static boolean is(String flags, String name, boolean otherwise) {
        String value = value(flags, name);
        return value == null ? otherwise : value.equals("true");
    }

    /** The value of a flag in lines like {@code bool UseZGC = false {product} {default}}; null if it has none. */
    private static String value(String flags, String name) {
        String wanted = " " + name + " ";
        int begin = flags.indexOf(wanted);
        int equals = begin < 0 ? -1 : flags.indexOf('=', begin);
        if (equals < 0) {
            return null;
        }
        int from = equals + 1;
        while (from < flags.length() && flags.charAt(from) == ' ') {
            from++;
        }
        int to = from;
        while (to < flags.length() && flags.charAt(to) > ' ') {
            to++;
        }
        return flags.substring(from, to);
    }

    /** The build key's part about it. */
    Map<String, Object> tree() {
        return Map.of("compressedOops", compressedOops, "compressedClassPointers", compressedClassPointers,
                "compactHeaders", compactHeaders, "objectAlignment", objectAlignment, "largeHeap", largeHeap,
                "collectors", z ? "z" : "classic");
    }
}
