package io.warmroot.jboost;

import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/**
 * How `build` was called. {@code token} may be null; {@code samples} 0 means as many as the order wants;
 * {@code startLimit} is the longest that one start may take; {@code force}: also what is known to gain nothing.
 */
record BuildOptions(URI server, String group, Path dir, Path token, Ready ready, int samples, Duration startLimit,
        boolean force, List<String> command) {
    private static final List<String> VALUED = List.of("--server", "--group", "--dir", "--token", "--ready-url",
            "--ready-log", "--samples", "--start-seconds");
    private static final List<String> SWITCHES = List.of("--until-exit", "--force");
    private static final int MOST_SAMPLES = 100;
    private static final int START_SECONDS = 300;
    private static final int HOUR = 3600;

    /** What these words mean. */
    static BuildOptions of(List<String> words) throws Failure {
        Arguments given = new Arguments(words, VALUED, SWITCHES);
        if (given.command == null || given.command.isEmpty()) {
            throw new Failure("Usage", "there is no command", "put the application's own after `--`");
        }
        String token = given.get("--token");
        return new BuildOptions(
                FetchOptions.server(given.need("--server")),
                given.need("--group"),
                Path.of(given.need("--dir")).toAbsolutePath().normalize(),
                token == null ? null : Path.of(token),
                ready(given),
                given.number("--samples", 0, MOST_SAMPLES),
                Duration.ofSeconds(given.number("--start-seconds", START_SECONDS, HOUR)),
                given.has("--force"),
                List.copyOf(given.command));
    }

    private static Ready ready(Arguments given) throws Failure {
        int ways = 0;
        for (String way : List.of("--ready-url", "--ready-log", "--until-exit")) {
            ways += given.has(way) ? 1 : 0;
        }
        if (ways != 1) {
            throw new Failure("Usage", "it has to be said in one way how the application shows that it is ready",
                    "give --ready-url URL, --ready-log REGEX or --until-exit");
        }
        if (given.has("--ready-url")) {
            return Ready.Url.of(given.get("--ready-url"));
        }
        if (given.has("--until-exit")) {
            return new Ready.Exit();
        }
        try {
            return new Ready.Log(Pattern.compile(given.get("--ready-log")));
        } catch (PatternSyntaxException wrong) {
            throw new Failure("Usage", "--ready-log is no regular expression: " + wrong.getDescription(), "");
        }
    }
}
