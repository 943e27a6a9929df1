package io.warmroot.orders;

import java.util.Optional;
import org.springframework.data.jpa.repository.JpaRepository;

public interface Categories extends JpaRepository<Category, Long> {
    Optional<Category> findByName(String name);
}
