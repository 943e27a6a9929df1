package io.warmroot.orders;

import org.springframework.data.jpa.repository.JpaRepository;

public interface CustomerOrders extends JpaRepository<CustomerOrder, Long> {
    long countByCustomer(String customer);
}
