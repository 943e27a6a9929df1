package io.warmroot.jboost;

import java.net.URI;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** How `fetch` and `doctor` were called. {@code token} is null if it was not given. */
record FetchOptions(URI server, String group, Path keys, Path dir, Path token, Path termination, boolean record,
        boolean json, int inspectMs, int lookupMs, int fetchMs, int preflightMs, List<String> command) {
    static final int LOOKUP_MS = 300;
    static final int FETCH_MS = 2000;
    static final int PREFLIGHT_MS = 1000;
    private static final int LONGEST_MS = 3_600_000;
    private static final List<String> VALUED = List.of("--server", "--group", "--keys", "--dir", "--token",
            "--termination-log", "--inspect-ms", "--lookup-ms", "--fetch-ms", "--preflight-ms");

    /** What the words after {@code fetch} mean. */
    static FetchOptions fetch(List<String> words) throws Failure {
        return of(new Arguments(words, VALUED, List.of("--record")), false);
    }

    /** What the words after {@code doctor} mean. */
    static FetchOptions doctor(List<String> words) throws Failure {
        List<String> valued = new ArrayList<>(VALUED);
        valued.add("--output");
        Arguments given = new Arguments(words, valued, List.of("--record"));
        String output = given.get("--output");
        if (output != null && !output.equals("json") && !output.equals("text")) {
            throw new Failure("Usage", "--output " + output + " is neither text nor json", "");
        }
        return of(given, "json".equals(output));
    }

    private static FetchOptions of(Arguments given, boolean json) throws Failure {
        String token = given.get("--token");
        String termination = given.get("--termination-log");
        return new FetchOptions(
                server(given.need("--server")),
                given.need("--group"),
                Path.of(given.need("--keys")),
                Path.of(given.need("--dir")).toAbsolutePath().normalize(),
                token == null ? null : Path.of(token),
                termination == null ? Fetch.TERMINATION : Path.of(termination),
                given.has("--record"),
                json,
                given.number("--inspect-ms", Inspection.BUDGET, LONGEST_MS),
                given.number("--lookup-ms", LOOKUP_MS, LONGEST_MS),
                given.number("--fetch-ms", FETCH_MS, LONGEST_MS),
                given.number("--preflight-ms", PREFLIGHT_MS, LONGEST_MS),
                given.command == null ? List.of() : given.command);
    }

    /** The cache service's address, for every verb. */
    static URI server(String text) throws Failure {
        URI uri = Ready.uri("--server", text);
        if (uri.getRawUserInfo() == null && uri.getRawQuery() == null && uri.getRawFragment() == null) {
            return uri;
        }
        // It is not shown: a password may be in it.
        throw new Failure("Usage", "--server holds more than an address", "give it as http://host:port, and --token");
    }

    /** The folder that these words name, however odd the others are; null if they name none. */
    static Path dir(List<String> words) {
        for (int at = 0; at < words.size() && !words.get(at).equals("--"); at++) {
            String word = words.get(at);
            String value = word.startsWith("--dir=") ? word.substring("--dir=".length())
                    : word.equals("--dir") && at + 1 < words.size() ? words.get(at + 1) : "";
            if (!value.isEmpty()) {
                return Path.of(value).toAbsolutePath().normalize();
            }
        }
        return null;
    }
}
