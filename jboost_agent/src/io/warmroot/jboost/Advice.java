package io.warmroot.jboost;

/** What a person does next about an outcome. */
final class Advice {
    private Advice() {}

    static String of(Outcome outcome) {
        switch (outcome) {
            case HIT:
                return "nothing: the next start uses the archive";
            case LEARNING:
                return "run the application under its usual traffic; its recording makes an archive";
            case BUILD:
                return "the image has another JDK than the archive: let the group learn again with this image";
            case COOPS:
                return "give the pods of the group the same heap and JVM options, or let this kind learn by itself";
            case GC:
                return "archives do not work across ZGC and the other collectors: use one of them in the group";
            case CLASSPATH:
                return "start from the same jars in the same order; pack folders of classes into a jar";
            case MODULE_OPTS:
                return "give every pod of the group the same --add-opens and other module options";
            case AGENT:
                return "attach the same native agents and debuggers in every pod of the group, or none";
            case CPU:
                return "let the group learn on this kind of CPU";
            case MISSING:
                return "start a few pods with --record, and run a builder once their recordings are there";
            case SIGNATURE:
                return "compare the file of --keys with the cache service's public keys";
            case PREFLIGHT:
                return "the archive has to be built again with this image and these flags";
            case BUDGET:
                return "check the cache service's load and the network; or allow more with --lookup-ms and its like";
            case SERVER:
                return "check the cache service, its address in --server, and the token";
            case OFF:
                return "change what the reason names; until then the application starts plainly";
            default:
                throw new IllegalArgumentException(outcome.text);
        }
    }
}
