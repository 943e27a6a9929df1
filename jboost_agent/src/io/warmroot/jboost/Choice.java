package io.warmroot.jboost;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Takes the first proposal that is signed, fits, is whole, and that the JVM accepts: the server only proposes. */
final class Choice {
    /** An archive that may be used, and every flag of ours that it takes. */
    static final class Chosen {
        final Manifest manifest;
        final Path archive;
        final List<String> flags;

        Chosen(Manifest manifest, Path archive, List<String> flags) {
            this.manifest = manifest;
            this.archive = archive;
            this.flags = flags;
        }
    }

    private final FetchOptions options;
    private final Service service;
    private final TrustedKeys keys;
    private final Inspection facts;
    private final Report report;
    private final Archives archives;
    private Deadline fetching;
    private Deadline trying;

    Choice(FetchOptions options, Service service, TrustedKeys keys, Inspection facts, Report report) {
        this.options = options;
        this.service = service;
        this.keys = keys;
        this.facts = facts;
        this.report = report;
        this.archives = new Archives(options.dir());
    }

    /**
     * The first proposal that holds.
     *
     * @throws Refusal none does: the outcome of the first, and the words of all
     */
    Chosen first(List<Envelope> proposals) throws Refusal {
        Outcome outcome = null;
        String archive = "";
        long triedFor = 0;
        List<String> why = new ArrayList<>();
        for (Envelope envelope : proposals) {
            report.tried = 0;
            try {
                Manifest manifest = verified(envelope);
                bring(manifest, path(manifest));
                return tried(manifest, path(manifest));
            } catch (Refusal refusal) {
                if (outcome == null) {
                    outcome = refusal.outcome;
                    archive = report.archive;
                    triedFor = report.tried;
                }
                if (refusal.outcome == Outcome.PREFLIGHT) {
                    report.refused.put(report.archive, refusal.getMessage());
                }
                why.add(refusal.getMessage());
                if (refusal.outcome == Outcome.BUDGET) {
                    break;
                }
            }
        }
        report.archive = archive;
        report.tried = triedFor;
        report.refused.remove(archive); // that one is told as the outcome
        throw new Refusal(outcome, String.join("; ", why));
    }

    /** The manifest, signed and for exactly this start. */
    Manifest verified(Envelope envelope) throws Refusal {
        try {
            Manifest manifest = Manifest.of(keys.verified(envelope), options.group(), facts.key);
            report.archive = manifest.digest;
            return manifest;
        } finally {
            report.step("verify");
        }
    }

    /** Has the archive on the disk, verified. */
    private void bring(Manifest manifest, Path archive) throws Refusal {
        fetching = fetching == null ? Deadline.in(options.fetchMs()) : fetching;
        try {
            new Download(service, archives, manifest, archive, fetching).bring();
        } finally {
            report.step("fetch");
        }
    }

    /** Whether the archive is on the disk, and whole. Changes nothing. */
    boolean atHand(Manifest manifest) throws IOException {
        return archives.atHand(archives.path(facts.jvm.feature, manifest), manifest, false);
    }

    /** The flags for an archive that is at hand, once the JVM has accepted it. */
    Chosen tried(Manifest manifest, Path archive) throws Refusal {
        List<String> flags = new ArrayList<>(facts.common);
        flags.addAll(manifest.flags);
        flags.add(Flags.use(facts.jvm.feature, archive));
        if (!manifest.waived) {
            trying = trying == null ? Deadline.in(options.preflightMs()) : trying;
            try {
                Preflight.run(facts, flags, trying);
            } finally {
                report.tried = Math.max(1, report.step("preflight"));
            }
        }
        flags.addAll(Flags.quiet(facts.application, facts.jvm.feature));
        return new Chosen(manifest, archive, flags);
    }

    Path path(Manifest manifest) {
        return archives.path(facts.jvm.feature, manifest);
    }
}
