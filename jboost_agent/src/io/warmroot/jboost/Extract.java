package io.warmroot.jboost;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * Gives a Spring Boot fat jar the extracted layout, once per content, with Spring Boot's own tool; and prints the
 * command that starts the application from there.
 */
final class Extract {
    private static final List<String> VALUED = List.of("--to");
    private static final long MINUTES = 5;

    private final Path to;
    private final Application application;

    private Extract(Path to, Application application) {
        this.to = to;
        this.application = application;
    }

    /** Runs; the exit code. Where nothing can be extracted, nothing is printed. */
    static int run(List<String> words) throws Failure {
        Arguments given = new Arguments(words, VALUED, List.of());
        Path to = Path.of(given.need("--to")).toAbsolutePath().normalize();
        try {
            CommandLine image = Application.image(System.getenv(), null);
            Extract extract = new Extract(to, Application.of(given.command, image, System.getenv()));
            System.out.writeBytes(Json.canonical(extract.result()));
            System.out.println();
            return 0;
        } catch (Refusal refusal) {
            throw new Failure("NotExtracted", refusal.getMessage(), "");
        } catch (InterruptedException ended) {
            throw new Failure("NotExtracted", "it was interrupted", "");
        }
    }

    /** The new command; the old one if there is nothing to extract. */
    private Map<String, Object> result() throws Failure, InterruptedException {
        String jar = application.command.jar();
        boolean fat = jar != null && ExtractJar.fat(Path.of(jar));
        List<String> command = new ArrayList<>();
        command.add(application.java.toString());
        command.addAll(application.command.options);
        if (fat) {
            command.add("-jar");
            command.add(extracted(Path.of(jar)).toString());
        } else {
            command.addAll(application.command.target);
        }
        command.addAll(application.command.arguments);
        return Map.of("extracted", fat, "command", command);
    }

    /** The application's own jar in the extracted layout. Its name matters: the same content may have several. */
    private Path extracted(Path jar) throws Failure, InterruptedException {
        try (Zip zip = new Zip(jar)) {
            Path folder = to.resolve(jar.getFileName()).resolve(zip.fingerprint());
            if (!Files.isDirectory(folder)) {
                Files.createDirectories(folder.getParent());
                make(jar, folder);
            }
            return folder.resolve(jar.getFileName());
        } catch (IOException error) {
            throw new Failure("NotExtracted", jar + ": " + error.getMessage(),
                    "check the disk and the rights on " + to);
        }
    }

    private void make(Path jar, Path folder) throws IOException, Failure, InterruptedException {
        Path fresh = Files.createTempDirectory(folder.getParent(), "new-");
        try {
            Path layout = fresh.resolve("layout");
            tool(jar, layout, fresh.resolve("log"));
            if (!Files.isRegularFile(layout.resolve(jar.getFileName()))) {
                throw new Failure("NotExtracted", "Spring Boot's tool made no " + layout.resolve(jar.getFileName())
                        + BuildLog.tail(fresh.resolve("log")), "extract it by hand");
            }
            FileTime time = Files.getLastModifiedTime(jar);
            // JDKs compare times, and the tool leaves that of the extraction or of the machine's time zone.
            try (Stream<Path> all = Files.walk(layout)) {
                for (Path file : (Iterable<Path>) all.filter(Files::isRegularFile)::iterator) {
                    Files.setLastModifiedTime(file, time);
                }
            }
            try {
                Files.move(layout, folder);
            } catch (IOException lost) {
                if (!Files.isDirectory(folder)) { // or else another start of the same jar was faster
                    throw lost;
                }
            }
        } finally {
            delete(fresh);
        }
    }

    private void tool(Path jar, Path layout, Path log) throws IOException, Failure, InterruptedException {
        ProcessBuilder builder = new ProcessBuilder(application.java.toString(), "-Djarmode=tools", "-jar",
                jar.toString(), "extract", "--destination", layout.toString());
        application.quiet(builder.environment());
        builder.redirectInput(new File("/dev/null")).redirectErrorStream(true).redirectOutput(log.toFile());
        Process process = builder.start();
        boolean ended = process.waitFor(MINUTES, TimeUnit.MINUTES);
        process.destroyForcibly();
        if (!ended || process.waitFor() != 0) {
            throw new Failure("NotExtracted", "Spring Boot's tool did not extract " + jar + BuildLog.tail(log),
                    "Spring Boot has it from 3.3 on; else extract by hand and start that jar");
        }
    }

    /** Deletes a folder with all that is in it. */
    static void delete(Path folder) throws IOException {
        try (Stream<Path> all = Files.walk(folder)) {
            for (Path path : (Iterable<Path>) all.sorted(Comparator.reverseOrder())::iterator) {
                Files.deleteIfExists(path);
            }
        }
    }
}
