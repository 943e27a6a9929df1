package io.warmroot.jboost;

/** Lower-case hex. */
final class Hex {
    private Hex() {}

    static String of(byte[] bytes) {
        char[] text = new char[bytes.length * 2];
        for (int at = 0; at < bytes.length; at++) {
            text[2 * at] = Character.forDigit(bytes[at] >> 4 & 15, 16);
            text[2 * at + 1] = Character.forDigit(bytes[at] & 15, 16);
        }
        return new String(text);
    }

    /** The bytes of a text in hex; null if it is none. */
    static byte[] bytes(String text) {
        byte[] bytes = new byte[text.length() / 2];
        for (int at = 0; at < text.length(); at++) {
            int value = Character.digit(text.charAt(at), 16);
            if (value < 0 || text.length() % 2 != 0 || Character.isUpperCase(text.charAt(at))) {
                return null;
            }
            bytes[at / 2] = (byte) (bytes[at / 2] << 4 | value);
        }
        return bytes;
    }

    /** Whether this is a sha256. */
    static boolean sha256(String text) {
        return text.length() == 64 && bytes(text) != null;
    }
}
