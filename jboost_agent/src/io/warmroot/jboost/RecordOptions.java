package io.warmroot.jboost;

import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;

/**
 * How `record` was called. Null: {@code token}, {@code attachDir}, {@code ready} were not given, {@code settle}
 * is the lease's; {@code pid} 0: not given. {@code upload} is the time for sending, {@code stay}: do not end
 * before somebody says so.
 */
record RecordOptions(URI server, String group, Path dir, Path token, Path attachDir, long pid, Ready.Url ready,
        Duration settle, Duration upload, boolean stay) {
    private static final List<String> VALUED = List.of("--server", "--group", "--dir", "--token", "--attach-dir",
            "--pid", "--ready-url", "--settle", "--upload-seconds");
    private static final int DAY = 86_400;
    private static final int UPLOAD_SECONDS = 60;

    /** What these words mean. */
    static RecordOptions of(List<String> words) throws Failure {
        Arguments given = new Arguments(words, VALUED, List.of("--stay"));
        String attachDir = given.get("--attach-dir");
        String token = given.get("--token");
        String ready = given.get("--ready-url");
        return new RecordOptions(
                FetchOptions.server(given.need("--server")),
                given.need("--group"),
                Path.of(given.need("--dir")).toAbsolutePath().normalize(),
                token == null ? null : Path.of(token),
                attachDir == null ? null : Path.of(attachDir).toAbsolutePath(),
                given.number("--pid", 0, Integer.MAX_VALUE),
                ready == null ? null : Ready.Url.of(ready),
                settle(given),
                Duration.ofSeconds(given.number("--upload-seconds", UPLOAD_SECONDS, DAY)),
                given.has("--stay"));
    }

    private static Duration settle(Arguments given) throws Failure {
        if (!given.has("--settle")) {
            return null;
        }
        return "0".equals(given.get("--settle")) ? Duration.ZERO
                : Duration.ofSeconds(given.number("--settle", 0, DAY));
    }
}
