package io.warmroot.jboost;

/** The one named reason that every start has; the same names as in jboost_server/core/outcome.py. */
enum Outcome {
    HIT("hit"),
    LEARNING("learning"),
    BUILD("build"),
    COOPS("coops"),
    GC("gc"),
    CLASSPATH("classpath"),
    MODULE_OPTS("module-opts"),
    AGENT("agent"),
    CPU("cpu"),
    MISSING("missing"),
    SIGNATURE("signature"),
    PREFLIGHT("preflight"),
    BUDGET("budget"),
    SERVER("server"),
    OFF("off");

    final String text;

    Outcome(String text) {
        this.text = text;
    }

    /** The outcome of this name; null if there is none. */
    static Outcome of(String text) {
        for (Outcome one : values()) {
            if (one.text.equals(text)) {
                return one;
            }
        }
        return null;
    }
}
