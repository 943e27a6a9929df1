package io.warmroot.jboost;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The agent's own command line: options with a value, switches, and the application's command after `--`. */
final class Arguments {
    private final Map<String, String> values = new HashMap<>();
    /** What follows `--`; null if there is none. */
    final List<String> command;

    /**
     * @param valued names of options with a value, and {@code switches} of those without
     * @throws Failure names what this verb does not know
     */
    Arguments(List<String> words, List<String> valued, List<String> switches) throws Failure {
        List<String> rest = null;
        for (int at = 0; at < words.size() && rest == null; at++) {
            String word = words.get(at);
            int equals = word.indexOf('=');
            String name = equals < 0 ? word : word.substring(0, equals);
            if (word.equals("--")) {
                rest = new ArrayList<>(words.subList(at + 1, words.size()));
            } else if (switches.contains(word)) {
                values.put(word, "");
            } else if (!valued.contains(name)) {
                throw new Failure("Usage", "unknown option " + word, "options stand before `--`, the command after it");
            } else if (equals >= 0) {
                values.put(name, word.substring(equals + 1));
            } else if (++at < words.size()) {
                values.put(name, words.get(at));
            } else {
                throw new Failure("Usage", name + " lacks its value", "");
            }
        }
        command = rest;
    }

    boolean has(String name) {
        return values.containsKey(name);
    }

    /** The value of an option; null if it was not given. */
    String get(String name) {
        return values.get(name);
    }

    /** The value of an option that has to be there. */
    String need(String name) throws Failure {
        String value = values.get(name);
        if (value == null || value.isEmpty()) {
            throw new Failure("Usage", name + " is missing", "see docs/jboost-protocol.md, the agent's command line");
        }
        return value;
    }

    /** A whole number from 1 to {@code most}. */
    int number(String name, int otherwise, int most) throws Failure {
        String value = values.get(name);
        if (value == null) {
            return otherwise;
        }
        try {
            int number = Integer.parseInt(value);
            if (number >= 1 && number <= most) {
                return number;
            }
        } catch (NumberFormatException error) {
            throw new Failure("Usage", name + " " + value + " is no number", "");
        }
        throw new Failure("Usage", name + " " + value + " is not within 1 to " + most, "");
    }
}
