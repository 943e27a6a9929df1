package io.warmroot.jboost;

/** Something that a person has to know: a reason in CamelCase, what failed, and what to do next (may be empty). */
final class Failure extends Exception {
    private static final long serialVersionUID = 1L;

    final String reason;
    final String hint;

    Failure(String reason, String message, String hint) {
        super(message);
        this.reason = reason;
        this.hint = hint;
    }

    /** All of it in one line. */
    @Override
    public String toString() {
        return reason + ": " + getMessage() + (hint.isEmpty() ? "" : " (" + hint + ")");
    }
}
