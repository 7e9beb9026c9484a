//! The reference page of the program, generated from its command line and its metrics.

#[cfg(test)]
mod tests {
    use crate::cli::Cli;
    use crate::metrics::Metrics;
    use clap::CommandFactory;
    use std::fmt::Write;
    use std::path::Path;

    /// `docs/reference/logq-processor.md`.
    fn page() -> String {
        let mut page = String::from(
            "# logq-processor\n\n<!-- Generated from the command line and the metrics by `./dev docs`; do not edit. -->\n",
        );
        let mut command = Cli::command().term_width(100);
        command.build();
        section(&mut page, "logq-processor", &mut command);
        for sub in command.get_subcommands_mut() {
            let title = sub.get_name().to_owned();
            if title == "help" {
                continue;
            }
            section(&mut page, &title, sub);
            for inner in sub.get_subcommands_mut().filter(|inner| inner.get_name() != "help") {
                section(&mut page, &format!("{title} {}", inner.get_name()), inner);
            }
        }
        page.push_str("\n## Metrics\n\n| metric | kind | meaning |\n|---|---|---|\n");
        let text = Metrics::default().render(0);
        let mut kind = "";
        for line in text.lines() {
            if let Some((name, meaning)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' '))
            {
                let total = if kind_of(&text, name) == "counter" { "_total" } else { "" };
                kind = kind_of(&text, name);
                let _ = writeln!(page, "| `{name}{total}` | {kind} | {} |", meaning.trim_end_matches('.'));
            }
        }
        assert!(!kind.is_empty(), "no metric is described");
        page
    }

    fn section(page: &mut String, title: &str, command: &mut clap::Command) {
        let help = command.render_long_help().to_string();
        let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
        let _ = write!(page, "\n## {title}\n\n```text\n{}\n```\n", lines.join("\n").trim_end());
    }

    fn kind_of<'a>(text: &'a str, name: &str) -> &'a str {
        let start = format!("# TYPE {name} ");
        text.lines().find_map(|line| line.strip_prefix(start.as_str())).unwrap_or_default()
    }

    #[test]
    fn the_processor_page_is_fresh() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/logq-processor.md");
        let page = page();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, &page).expect("writable checkout");
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(found, page, "docs/reference/logq-processor.md is stale: run ./dev docs");
    }
}
