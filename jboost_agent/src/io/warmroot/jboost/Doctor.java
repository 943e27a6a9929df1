package io.warmroot.jboost;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Goes the way of {@code fetch} step by step, changes nothing, and explains what it sees. */
final class Doctor {
    private final FetchOptions options;
    private final Report report;
    private final List<Object> steps = new ArrayList<>();
    private final StringBuilder text = new StringBuilder();
    private Map<String, Object> key = Map.of();

    private Doctor(FetchOptions options, Report report) {
        this.options = options;
        this.report = report;
    }

    /** 0 whatever it finds; 2 if it was called wrongly. */
    static int run(List<String> words, Map<String, String> environment, Report report) {
        FetchOptions options;
        try {
            options = FetchOptions.doctor(words);
        } catch (Failure failure) {
            System.err.println("jboost doctor: " + failure);
            return 2;
        }
        Doctor doctor = new Doctor(options, report);
        try {
            doctor.examine(environment);
        } catch (Refusal refusal) {
            report.outcome = refusal.outcome;
            report.why = List.of(refusal.getMessage());
            doctor.step("so", false, refusal.getMessage());
        }
        doctor.print();
        return 0;
    }

    private void examine(Map<String, String> environment) throws Refusal {
        CommandLine image = Application.image(environment, options.dir().resolve(OptionsFile.NAME));
        Application application = Application.of(options.command(), image, environment);
        step("command", true, application.java + " starts " + String.join(" ", application.command.target)
                + (image.options.isEmpty() ? "" : "; JDK_JAVA_OPTIONS adds " + String.join(" ", image.options)));
        Inspection facts = Inspection.of(application, Deadline.in(options.inspectMs()));
        key = facts.key.tree;
        report.key = facts.key.digest;
        step("runtime", true, facts.jvm.internalVersion);
        step("class path", true, ((List<?>) key.get("classPath")).size() + " jars");
        step("key", true, facts.key.digest);
        Service service = new Service(options.server(), options.token());
        // A lease is a promise to record, and this is no start: none is asked for.
        Service.Answer answer =
                service.lookup(options.group(), facts.key, false, Deadline.in(options.lookupMs()));
        step("lookup", true, "the cache service answers " + answer.outcome.text + ", " + answer.proposals.size()
                + " proposals" + (answer.why.isEmpty() ? "" : ": " + String.join("; ", answer.why)));
        report.outcome = answer.outcome;
        report.why = answer.why;
        if (!answer.proposals.isEmpty()) {
            propose(service, facts, answer.proposals);
        }
    }

    private void propose(Service service, Inspection facts, List<Envelope> proposals) throws Refusal {
        Choice choice = new Choice(options, service, new TrustedKeys(options.keys(), new FileNotes()), facts, report);
        Refusal first = null;
        for (Envelope envelope : proposals) {
            try {
                propose(choice, envelope);
                report.outcome = Outcome.HIT;
                return;
            } catch (Refusal refusal) {
                first = first == null ? refusal : first;
                step("proposal", false, refusal.getMessage());
            }
        }
        throw first;
    }

    private void propose(Choice choice, Envelope envelope) throws Refusal {
        Manifest manifest = choice.verified(envelope);
        step("manifest", true, "signed by a trusted key, and for exactly this start");
        boolean atHand;
        try {
            atHand = choice.atHand(manifest);
        } catch (IOException error) {
            throw new Refusal(Outcome.OFF, "the archive can't be read: " + error.getMessage());
        }
        if (!atHand) {
            step("archive", true, manifest.size + " bytes, not here yet: fetch brings them, and has the JVM try them");
            return;
        }
        step("archive", true, choice.path(manifest) + " is here and whole");
        report.flags = choice.tried(manifest, choice.path(manifest)).flags;
        step("preflight", true, manifest.waived ? "waived: enough pods of this kind reported success"
                : "the JVM accepts the archive");
    }

    private void step(String name, boolean well, String words) {
        TreeMap<String, Object> step = new TreeMap<>();
        step.put("step", name);
        step.put("ok", well);
        step.put("words", words);
        steps.add(step);
        text.append(well ? "  ok  " : "  NO  ").append(name).append(": ").append(words).append('\n');
        report.step(name);
    }

    private void print() {
        if (options.json()) {
            TreeMap<String, Object> all = report.tree();
            all.remove("lease");
            all.put("steps", steps);
            all.put("keyTree", key);
            all.put("next", Advice.of(report.outcome));
            System.out.writeBytes(Json.canonical(all));
        } else {
            text.append(report.outcome.text).append(report.why.isEmpty() ? "" : ": ")
                    .append(String.join("; ", report.why)).append("\nnext: ").append(Advice.of(report.outcome));
            System.out.writeBytes(text.toString().getBytes(StandardCharsets.UTF_8));
        }
        System.out.println();
        System.out.flush();
    }
}
