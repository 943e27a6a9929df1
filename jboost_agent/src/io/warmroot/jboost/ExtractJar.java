package io.warmroot.jboost;

import java.io.IOException;
import java.nio.file.Path;
import java.util.jar.Attributes;
import java.util.jar.JarFile;
import java.util.jar.Manifest;

/** Spring Boot's single jar, whose classes lie in jars inside of it where the JDK's own loaders do not look. */
final class ExtractJar {
    private ExtractJar() {}

    /** Whether this is one. */
    static boolean fat(Path jar) {
        try (JarFile file = new JarFile(jar.toFile(), false)) {
            Manifest manifest = file.getManifest();
            Attributes main = manifest == null ? new Attributes() : manifest.getMainAttributes();
            // The application's jar of an extracted layout keeps Spring-Boot-Version, and has no BOOT-INF.
            return main.getValue("Start-Class") != null && main.getValue("Spring-Boot-Classes") != null
                    || file.getEntry("BOOT-INF/") != null
                    || file.getEntry("BOOT-INF/classes/") != null;
        } catch (IOException unreadable) {
            return false;
        }
    }
}
