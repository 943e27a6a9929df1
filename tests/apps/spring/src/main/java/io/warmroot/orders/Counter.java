package io.warmroot.orders;

import java.util.List;
import java.util.NoSuchElementException;
import org.springframework.stereotype.Service;
import org.springframework.transaction.annotation.Transactional;

@Service
@Transactional
public class Counter {
    private final CustomerOrders orders;
    private final Articles articles;

    Counter(CustomerOrders orders, Articles articles) {
        this.orders = orders;
        this.articles = articles;
    }

    public CustomerOrder place(NewOrder wanted) {
        List<OrderLine> lines = wanted.lines().stream().map(this::line).toList();
        return orders.save(new CustomerOrder(wanted.customer(), lines));
    }

    @Transactional(readOnly = true)
    public long placedBy(String customer) {
        return orders.countByCustomer(customer);
    }

    private OrderLine line(NewOrder.Line wanted) {
        Article article = articles
                .findById(wanted.article())
                .orElseThrow(() -> new NoSuchElementException("article " + wanted.article()));
        return new OrderLine(article, wanted.quantity());
    }
}
