package io.warmroot.jboost;

import java.util.Comparator;

/** The order that Python gives strings. Java's own differs beyond U+FFFF. */
final class ByCodePoint implements Comparator<String> {
    static final ByCodePoint ORDER = new ByCodePoint();

    private ByCodePoint() {}

    @Override
    public int compare(String one, String other) {
        int shared = Math.min(one.length(), other.length());
        for (int index = 0; index < shared; index++) {
            char a = one.charAt(index);
            char b = other.charAt(index);
            if (a != b) {
                boolean beyond = Character.isSurrogate(a);
                return beyond == Character.isSurrogate(b) ? a - b : beyond ? 1 : -1;
            }
        }
        return one.length() - other.length();
    }
}
