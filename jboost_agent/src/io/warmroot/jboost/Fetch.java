package io.warmroot.jboost;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * Decides with which flags the application starts, and has done so in time. The options file stands from the
 * first moment on; whatever goes wrong after that costs an archive and never a start.
 */
final class Fetch {
    /** Where Kubernetes reads what a container has to say of its end. */
    static final Path TERMINATION = Path.of("/dev/termination-log");

    private final Report report;
    private FetchOptions options;
    private OptionsFile file;
    private Path dir;
    private Service service;
    private long unasked;
    private FileNotes notes;
    private Path termination = TERMINATION;

    private Fetch(Report report) {
        this.report = report;
    }

    /** Always 0. */
    static int run(List<String> words, Map<String, String> environment, Report report) {
        Fetch fetch = new Fetch(report);
        try {
            fetch.work(words, environment);
        } catch (Refusal refusal) {
            fetch.refuse(refusal.outcome, refusal.getMessage());
        } catch (Failure failure) {
            fetch.refuse(Outcome.OFF, failure.toString());
        } catch (Throwable any) { // an entry point: not even a full heap is the application's concern
            fetch.refuse(Outcome.OFF, "our own mistake, please report it: " + any);
        }
        fetch.say();
        fetch.tell();
        fetch.remember();
        return 0;
    }

    private void work(List<String> words, Map<String, String> environment) throws Refusal, Failure {
        dir = FetchOptions.dir(words);
        if (dir == null) {
            throw new Failure("Usage", "--dir is missing", "");
        }
        Path own = dir.resolve(OptionsFile.NAME);
        file = new OptionsFile(dir, Application.bytes(environment, own));
        try {
            Files.createDirectories(dir);
            file.plain();
        } catch (IOException error) {
            throw unwritten(error);
        }
        options = FetchOptions.fetch(words);
        termination = options.termination();
        Application application =
                Application.of(options.command(), Application.image(environment, own), environment);
        if (dir.toString().indexOf(':') >= 0) {
            throw new Refusal(Outcome.OFF, dir + " holds a `:`, which no JVM accepts in an archive's path");
        }
        Inspection.Running inspection = new Inspection.Running(application);
        notes = FileNotes.in(dir);
        inspection.read(notes);
        TrustedKeys keys = new TrustedKeys(options.keys(), notes);
        if (!notes.hasSigned()) {
            keys.load(); // meanwhile
        }
        report.step("keys");
        Inspection facts = inspection.await(Deadline.in(options.inspectMs()));
        report.key = facts.key.digest;
        report.step("inspect");
        Service.Answer answer = lookup(facts);
        if (answer.lease != null && options.record()) {
            learn(facts, answer.lease);
        } else if (answer.proposals.isEmpty()) {
            refuse(answer.outcome, String.join("; ", answer.why));
        } else {
            Choice.Chosen chosen = new Choice(options, service, keys, facts, report).first(answer.proposals);
            write(Outcome.HIT, chosen.flags);
        }
    }

    private Service.Answer lookup(Inspection facts) throws Refusal {
        Service asked = new Service(options.server(), options.token());
        Deadline asking = Deadline.in(options.lookupMs());
        try {
            Service.Answer answer = asked.lookup(options.group(), facts.key, options.record(), asking);
            service = asked; // it answers: it will hear how this ends
            unasked = asking.left();
            return answer;
        } finally {
            report.step("lookup");
        }
    }

    private void learn(Inspection facts, Service.Lease lease) throws Refusal {
        int feature = facts.jvm.feature;
        if (!lease.form().equals(Flags.form(feature))) {
            throw new Refusal(Outcome.SERVER, "the cache service wants a recording in form " + lease.form()
                    + ", which Java " + feature + " does not write");
        }
        List<String> flags = new ArrayList<>(facts.common);
        flags.addAll(Flags.record(feature, dir));
        flags.addAll(Flags.quiet(facts.application, facts.jvm.feature));
        write(Outcome.LEARNING, flags);
        report.lease = lease;
    }

    private void write(Outcome outcome, List<String> flags) throws Refusal {
        try {
            file.write(flags);
        } catch (IOException error) {
            throw unwritten(error);
        }
        report.outcome = outcome;
        report.flags = flags;
        report.step("write");
    }

    private Refusal unwritten(IOException error) {
        return new Refusal(Outcome.OFF, dir + " can't be written: " + error);
    }

    private void refuse(Outcome outcome, String why) {
        report.outcome = outcome;
        report.why = List.of(why);
    }

    private void say() {
        String unwritten = "";
        try {
            if (dir != null) {
                report.write(dir);
            }
        } catch (IOException error) {
            unwritten = " (" + Report.NAME + " can't be written)";
        }
        StringBuilder line = new StringBuilder("jboost fetch: ").append(report.outcome.text);
        for (String why : report.why) {
            line.append(": ").append(why.replace('\n', ' '));
        }
        System.err.println(line.append(unwritten).append(" [").append(report.total()).append(" ms]"));
        show();
    }

    /** In the pod's status: whoever sees the JVM die soon knows which archive it had. */
    private void show() {
        try {
            if (Files.isRegularFile(termination)) {
                Files.write(termination, Json.canonical(report.brief()));
            }
        } catch (IOException unwritable) {
            termination = null; // nobody's start depends on it
        }
    }

    /** The options file stands; what the lookup left of its time is the service's. */
    private void tell() {
        try {
            if (service != null && unasked > 0) {
                service.outcomes(options.group(), report, Deadline.in(unasked));
            }
        } catch (Refusal unheard) {
            System.err.println("jboost fetch: the cache service did not hear of it: " + unheard.getMessage());
        }
    }

    private void remember() {
        try {
            if (notes != null) {
                notes.write(dir);
            }
        } catch (IOException unwritten) {
            notes = null; // the next run takes a little longer
        }
    }
}
