package io.warmroot.jboost;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;

/**
 * What `fetch` was told about recording, from its report. {@code since} is when it decided, in milliseconds
 * since 1970: the application started right after.
 */
record RecordLease(String lease, String key, boolean list, Duration settle, long since) {
    /**
     * The lease in this report.
     *
     * @throws Failure there is none: this run does not record
     */
    static RecordLease of(Path report) throws Failure {
        try {
            Map<String, Object> fields = Json.object(Files.readAllBytes(report));
            if (!(fields.get("lease") instanceof String lease) || lease.isEmpty()) {
                throw new Failure("NoLease", "this run is no recorder: " + report + " has no lease",
                        "a few pods of a group record, and only while there is no archive for their key");
            }
            return new RecordLease(
                    lease,
                    Json.string(fields.get("key"), "key"),
                    "classlist".equals(Json.string(fields.get("form"), "form")),
                    Duration.ofSeconds(Json.integer(fields.get("settle"), "settle")),
                    Files.getLastModifiedTime(report).toMillis());
        } catch (IOException error) {
            throw new Failure("NoLease", report + " can't be read", "run fetch --record with the same --dir before");
        } catch (Json.Odd odd) {
            throw new Failure("NoLease", report + " makes no sense: " + odd.getMessage(), "run fetch again");
        }
    }
}
