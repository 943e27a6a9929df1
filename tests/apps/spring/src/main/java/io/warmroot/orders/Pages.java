package io.warmroot.orders;

import org.springframework.stereotype.Controller;
import org.springframework.ui.Model;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.RequestParam;

@Controller
public class Pages {
    private final Catalogue catalogue;

    Pages(Catalogue catalogue) {
        this.catalogue = catalogue;
    }

    @GetMapping("/")
    String list(@RequestParam(defaultValue = "") String q, Model model) {
        model.addAttribute("title", "Articles");
        model.addAttribute("articles", catalogue.search(q));
        return "articles";
    }

    @GetMapping("/articles/{id}")
    String one(@PathVariable long id, Model model) {
        model.addAttribute("article", catalogue.one(id));
        return "article";
    }
}
