//! Colours of what is being typed.

use super::completion::Vocabulary;
use super::statement::{Kind, parts};
use nu_ansi_term::{Color, Style};
use reedline::{Highlighter, StyledText};
use std::collections::HashSet;

/// Keywords, functions, texts, numbers and comments in colours of their own.
pub struct Highlight {
    functions: HashSet<String>,
}

impl Highlight {
    /// Knows the functions of the vocabulary.
    pub fn new(vocabulary: &Vocabulary) -> Self {
        Highlight { functions: vocabulary.functions().map(str::to_owned).collect() }
    }

    fn style(&self, word: &str) -> Style {
        let lower = word.to_ascii_lowercase();
        if super::completion::KEYWORDS.contains(&lower.as_str()) {
            Style::new().fg(Color::Blue).bold()
        } else if self.functions.contains(&lower) {
            Style::new().fg(Color::Cyan)
        } else if word.starts_with(|c: char| c.is_ascii_digit()) {
            Style::new().fg(Color::Yellow)
        } else {
            Style::new()
        }
    }
}

impl Highlighter for Highlight {
    fn highlight(&self, line: &str, _: usize) -> StyledText {
        let mut styled = StyledText::new();
        for (kind, part) in parts(line) {
            match kind {
                Kind::Text => styled.push((Style::new().fg(Color::Green), part.to_owned())),
                Kind::Open => styled.push((Style::new().fg(Color::Green).dimmed(), part.to_owned())),
                Kind::Comment => styled.push((Style::new().dimmed(), part.to_owned())),
                Kind::Code => {
                    for word in words(part) {
                        styled.push((self.style(word), word.to_owned()));
                    }
                }
            }
        }
        styled
    }
}

/// Runs of letters, digits and underscores, and what stands between them.
fn words(code: &str) -> impl Iterator<Item = &str> {
    let mut rest = code;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let inside = is_word(first);
        let end = rest.find(|c| is_word(c) != inside).unwrap_or(rest.len());
        let (word, left) = rest.split_at(end);
        rest = left;
        Some(word)
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_change_no_character() {
        let highlight = Highlight::new(&Vocabulary::new(vec!["count".to_owned()], Vec::new()));
        for line in ["select count(*) from t where a = 'é' -- x", "'", "", "\\d vpc_flow", "sélect 1"] {
            assert_eq!(highlight.highlight(line, 0).raw_string(), line);
        }
        assert_eq!(highlight.style("SELECT"), Style::new().fg(Color::Blue).bold());
        assert_eq!(highlight.style("count"), Style::new().fg(Color::Cyan));
    }
}
