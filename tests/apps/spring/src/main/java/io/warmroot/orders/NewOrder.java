package io.warmroot.orders;

import jakarta.validation.Valid;
import jakarta.validation.constraints.Min;
import jakarta.validation.constraints.NotBlank;
import jakarta.validation.constraints.NotEmpty;
import jakarta.validation.constraints.NotNull;
import java.util.List;

public record NewOrder(@NotBlank String customer, @NotEmpty List<@Valid Line> lines) {
    public record Line(@NotNull Long article, @Min(1) int quantity) {}
}
