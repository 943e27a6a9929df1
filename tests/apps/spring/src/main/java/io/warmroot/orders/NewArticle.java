package io.warmroot.orders;

import jakarta.validation.constraints.DecimalMin;
import jakarta.validation.constraints.NotBlank;
import jakarta.validation.constraints.NotNull;
import jakarta.validation.constraints.Size;
import java.math.BigDecimal;

public record NewArticle(
        @NotBlank @Size(max = 80) String name,
        @NotNull @DecimalMin("0") BigDecimal price,
        @NotBlank String category) {}
