package io.warmroot.pages;

import java.math.BigDecimal;
import java.util.List;
import java.util.Map;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RequestMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;

@RestController
@RequestMapping("/api")
public class Api {
    private final Articles articles;

    Api(Articles articles) {
        this.articles = articles;
    }

    /** How many of an article somebody wants. */
    record Wanted(long article, int quantity) {}

    @GetMapping("/articles")
    List<Article> search(@RequestParam(defaultValue = "") String q) {
        return articles.search(q);
    }

    @GetMapping("/priced")
    List<Article> priced(@RequestParam BigDecimal from, @RequestParam BigDecimal to) {
        return articles.priced(from, to);
    }

    @PostMapping("/quotes")
    Map<String, BigDecimal> quote(@RequestBody Wanted wanted) {
        BigDecimal price = articles.one(wanted.article()).price();
        return Map.of("total", price.multiply(BigDecimal.valueOf(wanted.quantity())));
    }
}
