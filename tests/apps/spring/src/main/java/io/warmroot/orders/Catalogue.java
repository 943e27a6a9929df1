package io.warmroot.orders;

import java.math.BigDecimal;
import java.util.DoubleSummaryStatistics;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.springframework.data.domain.PageRequest;
import org.springframework.data.domain.Sort;
import org.springframework.stereotype.Service;
import org.springframework.transaction.annotation.Transactional;

@Service
@Transactional(readOnly = true)
public class Catalogue {
    private static final int PAGE = 10;

    private final Articles articles;
    private final Categories categories;

    Catalogue(Articles articles, Categories categories) {
        this.articles = articles;
        this.categories = categories;
    }

    public List<Article> search(String part) {
        return articles.findByNameContainingIgnoreCaseOrderByName(part);
    }

    public Article one(long id) {
        return articles.findById(id).orElseThrow(() -> new NoSuchElementException("article " + id));
    }

    public List<Article> priced(BigDecimal from, BigDecimal to, int page) {
        return articles.priced(from, to, PageRequest.of(page, PAGE, Sort.by("price"))).getContent();
    }

    public Map<String, DoubleSummaryStatistics> prices() {
        return articles.findAll().stream()
                .collect(Collectors.groupingBy(
                        article -> article.getCategory().getName(),
                        TreeMap::new,
                        Collectors.summarizingDouble(article -> article.getPrice().doubleValue())));
    }

    @Transactional
    public Article add(NewArticle wanted) {
        Category category = categories
                .findByName(wanted.category())
                .orElseGet(() -> categories.save(new Category(wanted.category())));
        return articles.save(new Article(wanted.name(), wanted.price(), category));
    }
}
