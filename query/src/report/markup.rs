//! Text that stays text in HTML.

use crate::output::neutral::neutral;

/// `text` as the content of an element or of a quoted attribute. What would start markup is escaped,
/// what would hide or reorder text is shown, see [`neutral`].
pub fn text(text: &str) -> String {
    let shown = neutral(text);
    let mut safe = String::with_capacity(shown.len() + 8);
    for c in shown.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

/// The first characters of a text, for labels that have little room.
pub fn short(text: &str, characters: usize) -> String {
    if text.chars().count() <= characters {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(characters.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Bytes for people.
pub fn bytes(bytes: f64) -> String {
    indicatif::HumanBytes(bytes.max(0.0) as u64).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_its_place() {
        assert_eq!(text("<script>alert('x')</script>"), "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;");
        assert_eq!(text("\" onload=\"x\u{202e}\u{1b}"), "&quot; onload=&quot;x\\u{202e}\\x1b");
        assert_eq!(short("éééé", 3), "éé…");
    }
}
