package io.warmroot.pages;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;

/** A little service: articles as pages and as JSON. */
@SpringBootApplication
public class PagesApplication {
    public static void main(String[] arguments) {
        SpringApplication.run(PagesApplication.class, arguments);
    }
}
