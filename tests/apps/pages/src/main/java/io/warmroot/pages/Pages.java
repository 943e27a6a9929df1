package io.warmroot.pages;

import org.springframework.stereotype.Controller;
import org.springframework.ui.Model;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.RequestParam;

@Controller
public class Pages {
    private final Articles articles;

    Pages(Articles articles) {
        this.articles = articles;
    }

    @GetMapping("/")
    String list(@RequestParam(defaultValue = "") String q, Model model) {
        model.addAttribute("articles", articles.search(q));
        return "articles";
    }

    @GetMapping("/articles/{id}")
    String one(@PathVariable long id, Model model) {
        model.addAttribute("article", articles.one(id));
        return "article";
    }
}
