package io.warmroot.orders;

import java.util.NoSuchElementException;
import org.springframework.http.HttpStatus;
import org.springframework.http.ProblemDetail;
import org.springframework.validation.FieldError;
import org.springframework.web.bind.MethodArgumentNotValidException;
import org.springframework.web.bind.annotation.ExceptionHandler;
import org.springframework.web.bind.annotation.RestControllerAdvice;

@RestControllerAdvice
public class Refusals {
    @ExceptionHandler
    ProblemDetail invalid(MethodArgumentNotValidException refused) {
        ProblemDetail problem = ProblemDetail.forStatus(HttpStatus.BAD_REQUEST);
        problem.setProperty(
                "fields",
                refused.getFieldErrors().stream().map(FieldError::getField).sorted().toList());
        return problem;
    }

    @ExceptionHandler
    ProblemDetail missing(NoSuchElementException refused) {
        return ProblemDetail.forStatusAndDetail(HttpStatus.NOT_FOUND, refused.getMessage());
    }
}
