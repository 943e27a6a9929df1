package io.warmroot.jboost;

import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;

/** The options on which an archive depends, in the normal form of jboost_server/core/options.py. */
final class ModuleOptions {
    private static final List<String> ALWAYS =
            List.of("--limit-modules", "--upgrade-module-path", "--module-path", "--patch-module");
    private static final List<String> FROM_AOT = List.of("--add-modules", "--add-opens", "--add-exports", "--add-reads",
            "--enable-native-access");
    private static final List<String> LISTS = List.of("--add-modules", "--limit-modules", "--enable-native-access");

    /** Sorted, each once. */
    final List<String> modules;
    /** In their order. */
    final List<String> agents = new ArrayList<>();

    ModuleOptions(List<String> options, int feature) {
        TreeSet<String> found = new TreeSet<>(ByCodePoint.ORDER);
        boolean aot = feature >= Flags.FIRST_AOT;
        for (int at = 0; at < options.size(); at++) {
            String option = options.get(at);
            int equals = option.indexOf('=');
            String name = equals < 0 ? option : option.substring(0, equals);
            name = name.equals("-p") ? "--module-path" : name;
            if (ALWAYS.contains(name) || FROM_AOT.contains(name)) {
                String value = equals >= 0 ? option.substring(equals + 1) : "";
                if (equals < 0 && ++at < options.size()) {
                    value = options.get(at);
                }
                if (aot || ALWAYS.contains(name)) {
                    add(name, value, found);
                }
            } else if (option.startsWith("-Xbootclasspath/a:") && option.length() > "-Xbootclasspath/a:".length()) {
                found.add(option);
            } else {
                agent(option, aot);
            }
        }
        for (String fixed : Flags.FIXED_MODULES) {
            found.remove("--add-modules=" + fixed);
        }
        modules = List.copyOf(found);
    }

    private static void add(String name, String value, TreeSet<String> found) {
        if (!LISTS.contains(name)) {
            if (!value.isEmpty()) {
                found.add(name + "=" + value);
            }
            return;
        }
        for (String each : value.split(",")) {
            if (!each.isEmpty()) {
                found.add(name + "=" + each);
            }
        }
    }

    private void agent(String option, boolean aot) {
        if (option.startsWith("-agentlib:jdwp") || option.startsWith("-Xrunjdwp")) {
            if (aot) {
                agents.add("jdwp");
            }
        } else if (option.startsWith("-agentlib:") || option.startsWith("-agentpath:")) {
            int end = option.indexOf('=');
            String name = option.substring(option.indexOf(':') + 1, end < 0 ? option.length() : end);
            if (!name.isEmpty()) {
                agents.add("native:" + name);
            }
        }
    }
}
