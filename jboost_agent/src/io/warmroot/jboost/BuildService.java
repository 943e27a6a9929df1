package io.warmroot.jboost;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;

/** What a builder asks of the cache service, and tells it. */
final class BuildService {
    private static final Duration ASKING = Duration.ofSeconds(30);
    private static final Duration MOVING = Duration.ofMinutes(10);
    private static final Duration LEAVING = Duration.ofSeconds(5);

    /** One order: `input` is what to build of, by its sha256 and size in bytes; `minGain` in percent. */
    record Order(String id, String form, String input, long size, int minGain, int samples) {}

    /** What the service decided about an archive. */
    record Verdict(String state, long gain, String why) {
        boolean serving() {
            return state.equals("serving");
        }
    }

    private final Service service;

    BuildService(URI server, Path token) {
        this.service = new Service(server, token);
    }

    /** Something to build for this key; null if there is nothing. */
    Order order(String group, Map<String, Object> key, String holder) throws Failure, InterruptedException {
        Retry.Reply reply = post("/v1/builds", ASKING, Map.of("group", group, "key", key, "holder", holder));
        if (reply.code() == 204) {
            return null;
        }
        try {
            Map<String, Object> order = Json.object(reply.fields().get("order"), "order");
            return new Order(
                    Json.string(order.get("id"), "id"),
                    Json.string(order.get("form"), "form"),
                    Json.string(order.get("input"), "input"),
                    Json.integer(order.get("size"), "size"),
                    (int) Json.integer(order.get("minGain"), "minGain"),
                    (int) Json.integer(order.get("samples"), "samples"));
        } catch (Json.Odd odd) {
            throw senseless(odd);
        }
    }

    /** Gets what is to be built of. */
    void input(Order order, Path into) throws Failure, InterruptedException {
        Retry.Reply reply = new Retry(service, MOVING).download(path(order, "input"), into);
        if (!reply.good()) {
            throw reply.refusal();
        }
        try {
            if (Files.size(into) != order.size() || !Hex.of(Hashing.whole(into)).equals(order.input())) {
                throw new Failure("WrongDigest", "what is to be built of is not what the order names",
                        "build again; if it stays so, the cache service's store is broken");
            }
        } catch (IOException error) {
            throw new Failure("Unreadable", into + ": " + error.getMessage(), "");
        }
    }

    /** Sends the archive. */
    void archive(Order order, Path archive, String digest, long size) throws Failure, InterruptedException {
        URI uri = path(order, "archive?digest=" + digest);
        Retry.Reply reply = new Retry(service, MOVING).send("PUT", uri, Retry.Body.of(archive, size));
        if (!reply.good()) {
            throw reply.refusal();
        }
    }

    /** Tells what was measured (milliseconds), and what the service makes of it. */
    Verdict result(Order order, String digest, List<Long> plain, List<Long> warm) throws Failure, InterruptedException {
        Map<String, Object> told = Map.of("digest", digest, "flags", List.of(), "plain", plain, "warm", warm);
        Map<String, Object> verdict = post("/v1/builds/" + order.id() + "/result", ASKING, told).fields();
        try {
            return new Verdict(
                    Json.string(verdict.get("state"), "state"),
                    Json.integer(verdict.get("gain"), "gain"),
                    Json.string(verdict.get("why"), "why"));
        } catch (Json.Odd odd) {
            throw senseless(odd);
        }
    }

    /** Gives the order back, so that nobody waits for its end. */
    void failed(Order order, String why) throws Failure, InterruptedException {
        post("/v1/builds/" + order.id() + "/result", LEAVING, Map.of("failed", why));
    }

    private Retry.Reply post(String path, Duration atMost, Map<String, ?> json) throws Failure, InterruptedException {
        Retry.Reply reply = new Retry(service, atMost).send("POST", service.uri(path), Retry.Body.of(json));
        if (!reply.good()) {
            throw reply.refusal();
        }
        return reply;
    }

    private URI path(Order order, String what) {
        return service.uri("/v1/builds/" + order.id() + "/" + what);
    }

    private static Failure senseless(Json.Odd odd) {
        return new Failure("NoService", "the answer makes no sense: " + odd.getMessage(),
                "check that --server is the address of a cache service");
    }
}
