package io.warmroot.orders;

import jakarta.validation.Valid;
import java.math.BigDecimal;
import java.util.DoubleSummaryStatistics;
import java.util.List;
import java.util.Map;
import org.springframework.http.HttpStatus;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RequestMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.ResponseStatus;
import org.springframework.web.bind.annotation.RestController;

@RestController
@RequestMapping("/api")
public class Api {
    private final Catalogue catalogue;
    private final Counter counter;

    Api(Catalogue catalogue, Counter counter) {
        this.catalogue = catalogue;
        this.counter = counter;
    }

    @GetMapping("/articles")
    List<Article> search(@RequestParam(defaultValue = "") String q) {
        return catalogue.search(q);
    }

    @PostMapping("/articles")
    @ResponseStatus(HttpStatus.CREATED)
    Article add(@Valid @RequestBody NewArticle article) {
        return catalogue.add(article);
    }

    @GetMapping("/priced")
    List<Article> priced(
            @RequestParam BigDecimal from, @RequestParam BigDecimal to, @RequestParam(defaultValue = "0") int page) {
        return catalogue.priced(from, to, page);
    }

    @GetMapping("/prices")
    Map<String, DoubleSummaryStatistics> prices() {
        return catalogue.prices();
    }

    @PostMapping("/orders")
    @ResponseStatus(HttpStatus.CREATED)
    CustomerOrder place(@Valid @RequestBody NewOrder order) {
        return counter.place(order);
    }

    @GetMapping("/orders/count")
    Map<String, Long> count(@RequestParam String customer) {
        return Map.of(customer, counter.placedBy(customer));
    }
}
