package io.warmroot.jboost;

/** Why this start gets no flags of ours: the named outcome, and words for a person. Never a reason to fail. */
final class Refusal extends Exception {
    private static final long serialVersionUID = 1L;

    final Outcome outcome;

    Refusal(Outcome outcome, String why) {
        super(why, null, false, false); // no stack trace: it is a decision, not an accident
        this.outcome = outcome;
    }
}
