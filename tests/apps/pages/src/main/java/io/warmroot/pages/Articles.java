package io.warmroot.pages;

import java.math.BigDecimal;
import java.util.List;
import java.util.stream.LongStream;
import org.springframework.http.HttpStatus;
import org.springframework.stereotype.Service;
import org.springframework.web.server.ResponseStatusException;

@Service
public class Articles {
    private static final int HELD = 30;

    private final List<Article> all = LongStream.rangeClosed(1, HELD)
            .mapToObj(id -> new Article(id, "article " + id, BigDecimal.valueOf(id * 150, 2)))
            .toList();

    public List<Article> search(String part) {
        return all.stream().filter(article -> article.name().contains(part)).toList();
    }

    public List<Article> priced(BigDecimal from, BigDecimal to) {
        return all.stream()
                .filter(article ->
                        article.price().compareTo(from) >= 0 && article.price().compareTo(to) <= 0)
                .toList();
    }

    public Article one(long id) {
        return all.stream()
                .filter(article -> article.id() == id)
                .findFirst()
                .orElseThrow(() -> new ResponseStatusException(HttpStatus.NOT_FOUND));
    }
}
