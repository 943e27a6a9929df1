package io.warmroot.orders;

import java.math.BigDecimal;
import java.util.List;
import org.springframework.data.domain.Page;
import org.springframework.data.domain.Pageable;
import org.springframework.data.jpa.repository.JpaRepository;
import org.springframework.data.jpa.repository.Query;

public interface Articles extends JpaRepository<Article, Long> {
    List<Article> findByNameContainingIgnoreCaseOrderByName(String part);

    @Query("select a from Article a where a.price between :from and :to")
    Page<Article> priced(BigDecimal from, BigDecimal to, Pageable page);
}
