package io.warmroot.jboost;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.net.SocketTimeoutException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** The cache service as a pod sees it. Nothing that it says is believed further than its signature reaches. */
final class Service {
    private static final int MOST_PROPOSALS = 3;
    private static final int MARGIN = 64 * 1024;
    private static final int SHOWN = 300;
    private static final String JSON = "application/json";

    private final URI server;
    private final Path token;

    /** {@code token} is the file of a token; null if the service wants none. */
    Service(URI server, Path token) {
        this.server = server;
        this.token = token;
    }

    /** The right to record once. {@code settle}: seconds from ready to the end of the recording. */
    record Lease(String name, String form, long settle) {}

    /** The answer to a lookup. */
    static final class Answer {
        final Outcome outcome;
        final List<String> why;
        final List<Envelope> proposals;
        final Lease lease;

        Answer(Outcome outcome, List<String> why, List<Envelope> proposals, Lease lease) {
            this.outcome = outcome;
            this.why = why;
            this.proposals = proposals;
            this.lease = lease;
        }
    }

    /** A question that somebody else may end. */
    abstract static class Asking<T> extends Step<T> {
        protected final Http http;

        Asking(String name, Deadline deadline) {
            super(name);
            http = new Http(deadline);
        }

        @Override
        protected void abandon() {
            http.close();
        }

        /**
         * The result.
         *
         * @throws Refusal {@code budget} or {@code server}, or the step's own
         */
        T result(Deadline deadline) throws Refusal {
            start();
            try {
                return await(deadline);
            } catch (SocketTimeoutException late) {
                throw new Refusal(Outcome.BUDGET, getName() + " took longer than " + deadline.budget + " ms");
            } catch (IOException error) {
                throw new Refusal(Outcome.SERVER, getName() + " failed: " + words(error));
            } finally {
                http.close();
            }
        }
    }

    /** Asks for archives. */
    Answer lookup(String group, BuildKey key, boolean record, Deadline deadline) throws Refusal {
        TreeMap<String, Object> question = new TreeMap<>();
        question.put("group", group);
        question.put("key", key.tree);
        question.put("record", record);
        byte[] body = Json.canonical(question);
        int longest = MOST_PROPOSALS * (key.bytes.length * 4 / 3 + MARGIN) + MARGIN;
        return new Asking<Answer>("lookup", deadline) {
            @Override
            protected Answer work() throws IOException, Refusal {
                Http.Reply reply = http.send("POST", uri("/v1/lookup"), token(), json(body));
                try {
                    if (reply.code != 200) {
                        throw refused(reply);
                    }
                    return answer(Json.object(reply.bytes(longest)));
                } catch (Json.Odd odd) {
                    throw new Refusal(Outcome.SERVER, "the cache service's answer makes no sense: " + odd.getMessage());
                }
            }
        }.result(deadline);
    }

    private static Answer answer(Map<String, Object> tree) throws Json.Odd, Refusal {
        Outcome outcome = Outcome.of(Json.string(tree.get("outcome"), "outcome"));
        if (outcome == null) {
            throw new Json.Odd("outcome " + tree.get("outcome") + " is unknown");
        }
        List<String> why = tree.get("why") == null ? List.of() : Json.strings(tree.get("why"), "why");
        List<Envelope> proposals = new ArrayList<>();
        for (Object each : Json.list(tree.get("proposals"), "proposals")) {
            if (proposals.size() == MOST_PROPOSALS) {
                throw new Json.Odd("more than " + MOST_PROPOSALS + " proposals");
            }
            proposals.add(new Envelope(Json.object(each, "a proposal")));
        }
        if (outcome == Outcome.HIT && proposals.isEmpty()) {
            throw new Json.Odd("a hit without a proposal");
        }
        return new Answer(outcome, why, proposals, lease(tree.get("recorder")));
    }

    private static Lease lease(Object recorder) throws Json.Odd {
        if (recorder == null) {
            return null;
        }
        Map<String, Object> tree = Json.object(recorder, "recorder");
        long settle = Json.integer(tree.get("settle"), "settle");
        String name = Json.string(tree.get("lease"), "lease");
        if (settle < 0 || settle > 86_400 || name.isEmpty() || name.length() > 128 || Hex.bytes(name) == null) {
            throw new Json.Odd("a lease that is none");
        }
        return new Lease(name, Json.string(tree.get("form"), "form"), settle);
    }

    /** Tells which archives the JVM refused, and how it ended. To this start it is the same whether that arrives. */
    void outcomes(String group, Report report, Deadline deadline) throws Refusal {
        for (Map.Entry<String, String> one : report.refused.entrySet()) {
            outcome(group, report.key, one.getKey(), Outcome.PREFLIGHT, one.getValue(), Map.of(), deadline);
        }
        outcome(group, report.key, report.archive, report.outcome, String.join("; ", report.why),
                Map.of("total", report.total(), "preflight", report.tried), deadline);
    }

    private void outcome(String group, String key, String archive, Outcome outcome, String why,
            Map<String, Object> ms, Deadline deadline) throws Refusal {
        TreeMap<String, Object> said = new TreeMap<>();
        said.put("group", group);
        said.put("key", key);
        said.put("archive", archive);
        said.put("outcome", outcome.text);
        said.put("why", why);
        said.put("ms", ms);
        byte[] body = Json.canonical(said);
        new Asking<Boolean>("telling the outcome", deadline) {
            @Override
            protected Boolean work() throws IOException, Refusal {
                Http.Reply reply = http.send("POST", uri("/v1/outcomes"), token(), json(body));
                if (reply.code / 100 != 2) {
                    throw refused(reply);
                }
                return true;
            }
        }.result(deadline);
    }

    /** The address of a path of the service. */
    URI uri(String path) {
        String base = server.toString();
        return URI.create((base.endsWith("/") ? base.substring(0, base.length() - 1) : base) + path);
    }

    /** Whether an address belongs to the service, so that it may see the token. */
    boolean owns(URI uri) {
        return server.getScheme().equals(uri.getScheme()) && server.getRawAuthority().equals(uri.getRawAuthority());
    }

    /** The token as it is now: projected ones change. Null if there is none. */
    String token() throws Refusal {
        try {
            if (token == null) {
                return null;
            }
            String text = new String(Files.readAllBytes(token), StandardCharsets.US_ASCII).strip();
            if (text.isEmpty() || text.indexOf('\n') >= 0 || text.indexOf('\r') >= 0) {
                throw new Refusal(Outcome.OFF, token + " holds no token");
            }
            return text;
        } catch (IOException error) {
            throw new Refusal(Outcome.OFF, "the token " + token + " can't be read");
        }
    }

    private static Http.Body json(byte[] body) {
        return new Http.Body(new ByteArrayInputStream(body), body.length, JSON);
    }

    /** What an answer says that is no success. */
    static Refusal refused(Http.Reply reply) throws IOException {
        String text = new String(reply.body.readNBytes(MARGIN), StandardCharsets.UTF_8);
        String said = text.length() > SHOWN ? "" : text;
        try {
            Map<String, Object> error = Json.object(Json.object(Json.parse(text.getBytes(StandardCharsets.UTF_8)),
                    "answer").get("error"), "error");
            said = Json.string(error.get("reason"), "reason") + ": " + Json.string(error.get("message"), "message");
        } catch (Json.Odd odd) {
            said = said.strip();
        }
        String words = "the cache service answers " + reply.code;
        return new Refusal(Outcome.SERVER, said.isEmpty() ? words : words + ": " + said);
    }

    private static String words(IOException error) {
        String message = error.getMessage();
        String name = error.getClass().getSimpleName();
        return message == null ? name : error.getClass() == IOException.class ? message : name + ": " + message;
    }
}
