package io.warmroot.jboost;

import java.io.File;
import java.io.IOException;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * What a java launcher makes of its words: the JVM's options with every argument file expanded, what is
 * started, and the program's own arguments. `-m` and its like begin the program, as in the launcher.
 */
final class CommandLine {
    static final List<String> CLASS_PATH = List.of("-cp", "-classpath", "--class-path");
    private static final List<String> WITH_VALUE = List.of("-cp", "-classpath", "--class-path", "-p", "--module-path",
            "--upgrade-module-path", "--add-modules", "--limit-modules", "--enable-native-access", "--add-exports",
            "--add-opens", "--add-reads", "--patch-module", "--source", "-d", "--describe-module");
    private static final int FILE = 64 << 20;

    /** Options of the JVM, in their order. */
    final List<String> options = new ArrayList<>();
    /** `-jar X`, `-m X`, a main class, or nothing. */
    final List<String> target = new ArrayList<>();
    final List<String> arguments = new ArrayList<>();
    /** Argument files that can't be read here. */
    final List<String> unread = new ArrayList<>();

    private boolean value;
    private boolean literal;

    private final Charset charset;

    private CommandLine(Charset charset) {
        this.charset = charset;
    }

    /** Without the launcher itself. {@code own} is a file that is taken for empty; null for none. */
    static CommandLine of(List<String> words, Path own) {
        return of(words, own, StandardCharsets.UTF_8);
    }

    /** The same of words in which the bytes of files have this charset. */
    static CommandLine of(List<String> words, Path own, Charset charset) {
        CommandLine line = new CommandLine(charset);
        for (String word : words) {
            line.add(word, own);
        }
        return line;
    }

    /** The jar that is started; null if another thing is. */
    String jar() {
        return target.size() == 2 && target.get(0).equals("-jar") ? target.get(1) : null;
    }

    /** Whether a module is started. */
    boolean module() {
        return !target.isEmpty() && (target.get(0).startsWith("-m") || target.get(0).startsWith("--module"));
    }

    private void add(String word, Path own) {
        if (done()) {
            arguments.add(word);
        } else if (literal || value && !word.startsWith("@") || word.length() < 2 || word.charAt(0) != '@') {
            take(word);
        } else if (word.charAt(1) == '@') {
            take(word.substring(1));
        } else {
            String name = new String(word.substring(1).getBytes(charset), StandardCharsets.UTF_8);
            if (own != null && own.equals(path(name))) {
                return;
            }
            String text = read(name);
            if (text == null) {
                unread.add(word.substring(1));
                return;
            }
            for (String each : Words.ofFile(text)) {
                if (done()) {
                    arguments.add(each);
                } else {
                    take(each); // an @ in an argument file is nothing special
                }
            }
        }
    }

    private boolean done() {
        return target.size() == 2 || target.size() == 1 && !target.get(0).equals("-jar") && !target.get(0).equals("-m")
                && !target.get(0).equals("--module");
    }

    private void take(String word) {
        if (target.size() == 1) {
            target.add(word); // the jar or the module
        } else if (value && !word.startsWith("-")) {
            options.add(word);
            value = false;
        } else if (word.equals("-jar") || word.equals("-m") || word.equals("--module") || word.startsWith("--module=")
                || !word.startsWith("-")) {
            target.add(word);
        } else {
            value = WITH_VALUE.contains(word);
            literal |= word.equals("--disable-@files");
            options.add(word);
        }
    }

    /** What a name names; null if this locale has no bytes for it. */
    private static Path path(String name) {
        try {
            return Path.of(name).toAbsolutePath().normalize();
        } catch (InvalidPathException unmappable) {
            return null;
        }
    }

    private String read(String name) {
        try {
            File file = new File(name);
            if (file.isFile() && file.length() <= FILE) {
                return new String(Files.readAllBytes(file.toPath()), charset);
            }
        } catch (IOException unreadable) {
            return null;
        }
        return null;
    }
}
