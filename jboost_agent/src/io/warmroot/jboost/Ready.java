package io.warmroot.jboost;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Pattern;

/** How one can tell that an application is ready. A probe is made for each start: it may remember what it read. */
interface Ready {
    /** Milliseconds that one question to an application may take. */
    int PATIENCE = 1000;
    /** Bytes of output that are looked at in one go. */
    int WINDOW = 1 << 20;

    /** Looks once at an application that is starting. */
    interface Probe {
        /** Whether the application is ready. */
        boolean ready(Process process) throws IOException;
    }

    /** The probe for one start, whose output goes to this file. */
    Probe probe(Path log);

    /** Whether something answers already, though nothing of ours runs. */
    default boolean taken() {
        return false;
    }

    /** A person's words for what is waited for. */
    String words();

    /** An address of http or https that was given with this option. */
    static URI uri(String option, String text) throws Failure {
        try {
            URI uri = new URI(text);
            if (uri.getHost() != null && List.of("http", "https").contains(uri.getScheme())) {
                return uri;
            }
        } catch (URISyntaxException wrong) {
            throw new Failure("Usage", option + " " + text + " is no address: " + wrong.getReason(), "");
        }
        throw new Failure("Usage", option + " " + text + " is no address", "give it as http://host:port/path");
    }

    /** Ready when this address answers with 200. */
    record Url(URI uri) implements Ready {
        static Url of(String text) throws Failure {
            return new Url(Ready.uri("--ready-url", text));
        }

        @Override
        public Probe probe(Path log) {
            return process -> answers();
        }

        /** Whether the address answers with 200 now. */
        boolean answers() {
            try (Http http = new Http(Deadline.in(PATIENCE))) {
                return http.send("GET", uri, null, null).code == 200;
            } catch (IOException notYet) {
                return false;
            }
        }

        @Override
        public boolean taken() {
            try (Socket socket = new Socket()) {
                socket.connect(new InetSocketAddress(uri.getHost(), Http.port(uri)), PATIENCE);
                return true;
            } catch (IOException free) {
                return false;
            }
        }

        @Override
        public String words() {
            return uri + " answers with 200";
        }
    }

    /** Ready when a line of the output matches. */
    record Log(Pattern pattern) implements Ready {
        @Override
        public Probe probe(Path log) {
            long[] read = {0};
            return process -> {
                try (RandomAccessFile file = new RandomAccessFile(log.toFile(), "r")) {
                    file.seek(read[0]);
                    byte[] rest = new byte[(int) Math.min(file.length() - read[0], WINDOW)];
                    file.readFully(rest);
                    int whole = rest.length;
                    while (whole > 0 && rest[whole - 1] != '\n') {
                        whole--;
                    }
                    if (whole == 0 && rest.length < WINDOW) {
                        return false;
                    }
                    whole = whole == 0 ? rest.length : whole; // a line that never ends is looked at in parts
                    read[0] += whole;
                    return new String(rest, 0, whole, StandardCharsets.UTF_8).lines()
                            .anyMatch(line -> pattern.matcher(line).find());
                }
            };
        }

        @Override
        public String words() {
            return "its output matches " + pattern;
        }
    }

    /** Ready when it ended by itself and successfully: for programs that do their work and leave. */
    record Exit() implements Ready {
        @Override
        public Probe probe(Path log) {
            return process -> !process.isAlive() && process.exitValue() == 0;
        }

        @Override
        public String words() {
            return "it ends with 0";
        }
    }
}
