package io.warmroot.orders;

import java.math.BigDecimal;
import org.springframework.beans.factory.SmartInitializingSingleton;
import org.springframework.stereotype.Component;

/** Articles that are there from the beginning: before the first request is taken, and so before "ready" is said. */
@Component
public class Stock implements SmartInitializingSingleton {
    private static final int ARTICLES = 30;
    private static final int CATEGORIES = 3;

    private final Catalogue catalogue;

    Stock(Catalogue catalogue) {
        this.catalogue = catalogue;
    }

    @Override
    public void afterSingletonsInstantiated() {
        for (int number = 1; number <= ARTICLES; number++) {
            BigDecimal price = BigDecimal.valueOf(number * 150L, 2);
            catalogue.add(new NewArticle("article " + number, price, "category " + number % CATEGORIES));
        }
    }
}
