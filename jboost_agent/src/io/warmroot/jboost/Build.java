package io.warmroot.jboost;

import java.io.IOException;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * Builds an archive of what was learned, with the application's own JDK, class path and flags; tries it; starts
 * the application with it and without; and lets the service judge what was measured.
 */
final class Build {
    private static final long LEAVING_SECONDS = 20;
    private static final int ASKING_MS = 60_000;
    private static final String INTERRUPTED = "Interrupted: the builder was told to end";

    private final BuildOptions options;
    private final BuildService service;
    private final BuildChildren children = new BuildChildren();
    private final CountDownLatch done = new CountDownLatch(1);
    private volatile boolean told;

    Build(BuildOptions options) {
        this.options = options;
        this.service = new BuildService(options.server(), options.token());
    }

    /** The exit code: 0 if an archive is served or there was nothing to do. SIGTERM gives the order back. */
    int run() {
        Thread main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> leave(main), "leave"));
        try {
            return build();
        } catch (Refusal | Failure | InterruptedException | IOException error) {
            say(told ? INTERRUPTED : words(error));
            // Where another builder is at it there is nothing for this one to do.
            return error instanceof Failure failure && failure.reason.equals("Held") ? 0 : 1;
        } finally {
            children.close();
            done.countDown();
        }
    }

    private void leave(Thread main) {
        told = true;
        children.close();
        main.interrupt();
        try {
            done.await(LEAVING_SECONDS, TimeUnit.SECONDS);
        } catch (InterruptedException impossible) {
            say("interrupted");
        }
    }

    private int build() throws Refusal, Failure, IOException, InterruptedException {
        Path dir = options.dir();
        Files.createDirectories(dir);
        CommandLine image = Application.image(System.getenv(), dir.resolve(OptionsFile.NAME));
        Application application = Application.of(options.command(), image, System.getenv());
        Inspection start = Inspection.of(application, Deadline.in(ASKING_MS));
        refuseFat(start.application, start.jvm.feature);
        BuildService.Order order = service.order(options.group(), start.key.tree, holder());
        if (order == null) {
            say("nothing to build for this key");
            return 0;
        }
        Path work = Files.createTempDirectory(dir, "build-");
        try {
            return carryOut(order, start, Application.bytes(System.getenv(), dir.resolve(OptionsFile.NAME)), work);
        } catch (Refusal | Failure | IOException | RuntimeException error) {
            giveBack(order, told ? INTERRUPTED : words(error));
            throw error;
        } catch (InterruptedException interrupted) {
            giveBack(order, INTERRUPTED);
            throw interrupted;
        } finally {
            Extract.delete(work);
        }
    }

    private int carryOut(BuildService.Order order, Inspection start, CommandLine image, Path work)
            throws Refusal, Failure, IOException, InterruptedException {
        int feature = start.jvm.feature;
        if (!order.form().equals(Flags.form(feature))) {
            throw new Failure("WrongForm", "the order is of the form " + order.form() + ", which JDK " + feature
                    + " does not take", "use an agent of the cache service's version");
        }
        Path input = work.resolve("input");
        service.input(order, input);
        say("builds of " + order.size() + " bytes that were recorded");
        Path archive = work.resolve(Flags.fileName(feature, order.input()));
        long begin = System.nanoTime();
        new BuildArchive(start, children).make(input, archive, options.dir().resolve("build-dump.log"));
        long size = Files.size(archive);
        say("an archive of " + size + " bytes, made in " + milliseconds(begin) + " ms");
        List<String> flags = new ArrayList<>(start.common); // as Choice makes them for a pod
        flags.add(Flags.use(feature, archive));
        begin = System.nanoTime();
        Preflight.run(start, flags, Deadline.in(ASKING_MS));
        flags.addAll(Flags.quiet(start.application, start.jvm.feature));
        say("the JVM takes it, in " + milliseconds(begin) + " ms");
        Measure measure = measure(order, image, flags, work);
        String digest = Hex.of(Hashing.whole(archive));
        service.archive(order, archive, digest, size);
        BuildService.Verdict verdict = service.result(order, digest, measure.plain(), measure.warm());
        say(verdict.state() + ": gain " + verdict.gain() + " %: " + verdict.why());
        return verdict.serving() ? 0 : 1;
    }

    private Measure measure(BuildService.Order order, CommandLine image, List<String> flags, Path work)
            throws Failure, IOException, InterruptedException {
        int samples = options.samples() > 0 ? options.samples() : order.samples();
        Measure measure = new Measure(samples, order.minGain());
        measure.run(starts("plain", image, List.of(), work), starts("warm", image, flags, work));
        say(measure.words());
        if (measure.hopeless()) {
            say(String.format(Locale.ROOT, "it gains %.0f %% of the plain start, and %d %% are wanted", measure.gain(),
                    order.minGain()));
        }
        return measure;
    }

    /** Starts as a pod has them: with an options file as `fetch` would have written it. */
    private Measure.Start starts(String name, CommandLine image, List<String> flags, Path work) throws IOException {
        Path folder = Files.createDirectory(work.resolve(name));
        new OptionsFile(folder, image).write(flags);
        MeasureStart start = new MeasureStart(options.command(), folder.resolve(OptionsFile.NAME),
                options.dir().resolve("build-" + name + ".log"), options.ready(), options.startLimit(), children);
        return () -> {
            long milliseconds = start.milliseconds();
            say(name + " start: " + milliseconds + " ms");
            return milliseconds;
        };
    }

    private void giveBack(BuildService.Order order, String why) {
        boolean interrupted = Thread.interrupted(); // or else the request below would end at once
        try {
            service.failed(order, why);
            say("the build order was given back");
        } catch (Failure | InterruptedException failure) {
            say("the build order could not be given back and ends by itself: " + failure);
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    private static String words(Exception error) {
        return error instanceof Refusal refusal ? refusal.outcome.text + ": " + refusal.getMessage() : error.toString();
    }

    private static long milliseconds(long begin) {
        return (System.nanoTime() - begin) / 1_000_000;
    }

    /** This process, for people who wonder who builds. */
    private static String holder() {
        String host;
        try {
            host = InetAddress.getLocalHost().getHostName();
        } catch (UnknownHostException nameless) {
            host = "builder";
        }
        return host + "/" + ProcessHandle.current().pid();
    }

    private static void say(String words) {
        System.err.println("jboost build: " + words);
    }

    private void refuseFat(Application application, int feature) throws Failure {
        String jar = application.command.jar();
        if (feature < Flags.FIRST_AOT && !options.force() && jar != null && ExtractJar.fat(Path.of(jar))) {
            throw new Failure("FatJar", jar + " is a fat jar: JDK " + feature + " can archive none of the classes in"
                    + " the jars inside of it, so an archive gains nothing",
                    "start the extracted layout (java -jar agent.jar extract), or build with --force");
        }
    }
}
