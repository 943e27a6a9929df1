package io.warmroot.jboost;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * JSON of maps, lists, strings, longs, booleans and null. What is read comes from strangers: depth and length
 * are limited, a key that stands twice and every number that is no integer of 2**53 - 1 at most is refused.
 * What is written is canonical, byte for byte as warmroot/canonical.py writes it.
 */
final class Json {
    /** Every reader of JSON keeps integers up to here exact. */
    static final long MAX_INTEGER = (1L << 53) - 1;
    private static final int DEPTH = 32;

    private final String text;
    private int at;

    private Json(String text) {
        this.text = text;
    }

    /** Not JSON, or not of the shape that was promised. */
    static final class Odd extends Exception {
        private static final long serialVersionUID = 1L;

        Odd(String message) {
            super(message, null, false, false);
        }
    }

    /** The value in these bytes, which are UTF-8. */
    static Object parse(byte[] data) throws Odd {
        String text;
        try {
            text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(data)).toString();
        } catch (CharacterCodingException error) {
            throw new Odd("not UTF-8");
        }
        Json json = new Json(text);
        json.blanks();
        Object value = json.value(0);
        json.blanks();
        if (json.at != text.length()) {
            throw json.odd("something after the end");
        }
        return value;
    }

    /** The object in these bytes. */
    static Map<String, Object> object(byte[] data) throws Odd {
        return object(parse(data), "the answer");
    }

    /** This value as an object; {@code what} names it for a person. */
    @SuppressWarnings("unchecked") // the parser makes maps of strings only
    static Map<String, Object> object(Object value, String what) throws Odd {
        if (value instanceof Map) {
            return (Map<String, Object>) value;
        }
        throw new Odd(what + " is not an object");
    }

    /** This value as a list. */
    @SuppressWarnings("unchecked") // the parser makes lists of objects only
    static List<Object> list(Object value, String what) throws Odd {
        if (value instanceof List) {
            return (List<Object>) value;
        }
        throw new Odd(what + " is not a list");
    }

    /** This value as a string. */
    static String string(Object value, String what) throws Odd {
        if (value instanceof String) {
            return (String) value;
        }
        throw new Odd(what + " is not a string");
    }

    /** This value as an integer. */
    static long integer(Object value, String what) throws Odd {
        if (value instanceof Long) {
            return (Long) value;
        }
        throw new Odd(what + " is not an integer");
    }

    /** This value as a list of strings. */
    static List<String> strings(Object value, String what) throws Odd {
        List<String> strings = new ArrayList<>();
        for (Object one : list(value, what)) {
            strings.add(string(one, what));
        }
        return strings;
    }

    private Object value(int depth) throws Odd {
        if (depth > DEPTH) {
            throw odd("nested too deeply");
        }
        char c = peek();
        switch (c) {
            case '{':
                return members(depth);
            case '[':
                return elements(depth);
            case '"':
                return quoted();
            case 't':
                return word("true", Boolean.TRUE);
            case 'f':
                return word("false", Boolean.FALSE);
            case 'n':
                return word("null", null);
            default:
                return number();
        }
    }

    private Map<String, Object> members(int depth) throws Odd {
        Map<String, Object> members = new LinkedHashMap<>();
        at++;
        blanks();
        if (peek() == '}') {
            at++;
            return members;
        }
        while (true) {
            blanks();
            String key = quoted();
            blanks();
            expect(':');
            blanks();
            Object value = value(depth + 1);
            if (members.containsKey(key)) {
                throw odd("a key stands twice");
            }
            members.put(key, value);
            blanks();
            if (peek() == '}') {
                at++;
                return members;
            }
            expect(',');
        }
    }

    private List<Object> elements(int depth) throws Odd {
        List<Object> elements = new ArrayList<>();
        at++;
        blanks();
        if (peek() == ']') {
            at++;
            return elements;
        }
        while (true) {
            blanks();
            elements.add(value(depth + 1));
            blanks();
            if (peek() == ']') {
                at++;
                return elements;
            }
            expect(',');
        }
    }

    private String quoted() throws Odd {
        expect('"');
        int begin = at;
        while (at < text.length()) {
            char c = text.charAt(at);
            if (c == '"') {
                return text.substring(begin, at++);
            }
            if (c == '\\') {
                return escaped(begin);
            }
            if (c < ' ') {
                break;
            }
            at++;
        }
        throw odd("a string without its end");
    }

    private String escaped(int begin) throws Odd {
        StringBuilder found = new StringBuilder(text.length() - begin < 256 ? 64 : 256).append(text, begin, at);
        while (at < text.length()) {
            char c = text.charAt(at++);
            if (c == '"') {
                return found.toString();
            }
            if (c < ' ') {
                break;
            }
            found.append(c == '\\' ? escape() : c);
        }
        throw odd("a string without its end");
    }

    private char escape() throws Odd {
        char c = peek();
        at++;
        switch (c) {
            case '"':
            case '\\':
            case '/':
                return c;
            case 'b':
                return '\b';
            case 'f':
                return '\f';
            case 'n':
                return '\n';
            case 'r':
                return '\r';
            case 't':
                return '\t';
            case 'u':
                int code = 0;
                for (int digit = 0; digit < 4; digit++, at++) {
                    int value = Character.digit(peek(), 16);
                    if (value < 0 || peek() > 'f') {
                        throw odd("an escape that is none");
                    }
                    code = code * 16 + value;
                }
                return (char) code;
            default:
                throw odd("an escape that is none");
        }
    }

    private Long number() throws Odd {
        int begin = at;
        if (peek() == '-') {
            at++;
        }
        int first = at;
        while (at < text.length() && text.charAt(at) >= '0' && text.charAt(at) <= '9') {
            at++;
        }
        boolean padded = at - first > 1 && text.charAt(first) == '0';
        if (at == first || at - first > 16 || padded) {
            throw odd("neither a value nor an integer");
        }
        long value = Long.parseLong(text.substring(begin, at));
        if (Math.abs(value) > MAX_INTEGER) {
            throw odd("an integer beyond 2**53");
        }
        return value;
    }

    private Object word(String word, Object value) throws Odd {
        if (!text.startsWith(word, at)) {
            throw odd("neither a value nor an integer");
        }
        at += word.length();
        return value;
    }

    private void blanks() {
        while (at < text.length() && " \t\n\r".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
    }

    private char peek() throws Odd {
        if (at >= text.length()) {
            throw odd("it ends too early");
        }
        return text.charAt(at);
    }

    private void expect(char wanted) throws Odd {
        if (peek() != wanted) {
            throw odd("no " + wanted);
        }
        at++;
    }

    private Odd odd(String what) {
        return new Odd("not JSON at character " + at + ": " + what);
    }

    /** The only form of a value. */
    static byte[] canonical(Object value) {
        StringBuilder text = new StringBuilder(4096);
        write(value, text);
        return text.toString().getBytes(StandardCharsets.UTF_8);
    }


    private static void write(Object value, StringBuilder text) {
        if (value == null || value instanceof Boolean || value instanceof Long || value instanceof Integer) {
            text.append(value);
        } else if (value instanceof String) {
            writeString((String) value, text);
        } else if (value instanceof List) {
            char before = '[';
            for (Object one : (List<?>) value) {
                text.append(before);
                write(one, text);
                before = ',';
            }
            text.append(before == '[' ? "[]" : "]");
        } else if (value instanceof Map) {
            writeObject((Map<?, ?>) value, text);
        } else {
            throw new IllegalArgumentException("JSON has no form for " + value.getClass());
        }
    }

    private static void writeObject(Map<?, ?> members, StringBuilder text) {
        TreeMap<String, Object> sorted = new TreeMap<>(ByCodePoint.ORDER);
        for (Map.Entry<?, ?> member : members.entrySet()) {
            sorted.put((String) member.getKey(), member.getValue());
        }
        char before = '{';
        for (Map.Entry<String, Object> member : sorted.entrySet()) {
            text.append(before);
            writeString(member.getKey(), text);
            text.append(':');
            write(member.getValue(), text);
            before = ',';
        }
        text.append(before == '{' ? "{}" : "}");
    }

    private static void writeString(String value, StringBuilder text) {
        text.append('"');
        for (int index = 0; index < value.length(); index++) {
            char c = value.charAt(index);
            int escape = "\"\\\b\f\n\r\t".indexOf(c);
            if (escape >= 0) {
                text.append('\\').append("\"\\bfnrt".charAt(escape));
            } else if (c < ' ') {
                text.append("\\u00").append(Character.forDigit(c >> 4, 16)).append(Character.forDigit(c & 15, 16));
            } else {
                text.append(c);
            }
        }
        text.append('"');
    }
}
