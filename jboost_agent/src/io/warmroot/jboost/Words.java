package io.warmroot.jboost;

import java.util.ArrayList;
import java.util.List;

/** How the launcher and the JVM split texts into options. Each of the three does it in its own way. */
final class Words {
    private Words() {}

    /**
     * The words of an argument file of the launcher: quotes with escapes inside, comments, a line that goes
     * on in the next one after a backslash.
     */
    static List<String> ofFile(String text) {
        List<String> words = new ArrayList<>();
        StringBuilder word = new StringBuilder();
        boolean open = false;
        char quote = 0;
        for (int at = 0; at < text.length(); at++) {
            char c = text.charAt(at);
            if (quote != 0 && c == '\\' && at + 1 < text.length()) {
                at = escape(text, at + 1, word);
            } else if (c == quote) {
                quote = 0;
            } else if (c == '\n' || c == '\r' || quote == 0 && blank(c)) {
                if (open) {
                    words.add(word.toString()); // the end of a line ends a quote, too
                }
                word.setLength(0);
                open = false;
                quote = 0;
            } else if (quote == 0 && (c == '"' || c == '\'')) {
                quote = c;
                open = true;
            } else if (quote == 0 && c == '#') {
                at = endOfLine(text, at);
                word.setLength(0); // the launcher forgets a word that runs into a comment
                open = false;
            } else {
                word.append(c);
                open = true;
            }
        }
        if (word.length() > 0) {
            words.add(word.toString()); // an empty word at the very end is none for the launcher
        }
        return words;
    }

    private static int escape(String text, int at, StringBuilder word) {
        char c = text.charAt(at);
        int control = "nrtf".indexOf(c);
        if (control >= 0) {
            word.append("\n\r\t\f".charAt(control));
        } else if (c == '\n' || c == '\r') {
            int next = at;
            while (next < text.length() && blank(text.charAt(next))) {
                next++; // the rest of the word begins after the blanks of the next line
            }
            return next - 1;
        } else {
            word.append(c);
        }
        return at;
    }

    private static int endOfLine(String text, int from) {
        int at = from;
        while (at < text.length() && text.charAt(at) != '\n' && text.charAt(at) != '\r') {
            at++;
        }
        return at;
    }

    /** The words of JDK_JAVA_OPTIONS, JAVA_TOOL_OPTIONS or -XX:VMOptionsFile: quotes, and no escapes. */
    static List<String> ofVariable(String text) {
        List<String> words = new ArrayList<>();
        StringBuilder word = new StringBuilder();
        boolean open = false;
        char quote = 0;
        for (int at = 0; at < text.length(); at++) {
            char c = text.charAt(at);
            if (quote != 0) {
                if (c == quote) {
                    quote = 0;
                } else {
                    word.append(c);
                }
            } else if (c == '"' || c == '\'') {
                quote = c;
                open = true;
            } else if (blank(c)) {
                if (open) {
                    words.add(word.toString());
                }
                word.setLength(0);
                open = false;
            } else {
                word.append(c);
                open = true;
            }
        }
        if (open) {
            words.add(word.toString());
        }
        return words;
    }

    /** One word as {@link #ofFile} reads it. */
    static String quoted(String word) {
        StringBuilder text = new StringBuilder(word.length() + 2).append('"');
        for (int at = 0; at < word.length(); at++) {
            char c = word.charAt(at);
            int control = "\n\r\t\f".indexOf(c);
            if (control >= 0) {
                text.append('\\').append("nrtf".charAt(control));
            } else {
                text.append(c == '"' || c == '\\' ? "\\" : "").append(c);
            }
        }
        return text.append('"').toString();
    }

    private static boolean blank(char c) {
        return c == ' ' || c >= '\t' && c <= '\r';
    }
}
