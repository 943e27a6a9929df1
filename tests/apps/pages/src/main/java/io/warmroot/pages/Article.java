package io.warmroot.pages;

import java.math.BigDecimal;

public record Article(long id, String name, BigDecimal price) {}
