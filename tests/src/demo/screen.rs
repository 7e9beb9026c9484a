//! What the demo prints: plain text that fits 80 columns, colours on a terminal only.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Output of the demo.
#[derive(Debug)]
pub struct Screen {
    colours: bool,
    terminal: bool,
    /// A progress line stands on the terminal.
    dirty: bool,
    /// When progress was last printed off a terminal.
    printed: Option<Instant>,
}

/// Off a terminal, progress is printed this often.
const PROGRESS_EVERY: Duration = Duration::from_secs(3);

/// How a piece of text is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Headings.
    Bold,
    /// Details.
    Dim,
    /// Good news.
    Good,
    /// Odd, but not wrong.
    Warn,
    /// Bad news.
    Bad,
}

impl Screen {
    /// Standard output, coloured when it is a terminal and `NO_COLOR` is not set.
    pub fn new() -> Self {
        let terminal = std::io::stdout().is_terminal();
        let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { colours, terminal, dirty: false, printed: None }
    }

    /// Columns to fill.
    pub fn columns(&self) -> usize {
        let named = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        named.unwrap_or(100).clamp(40, 160)
    }

    /// `text` in `tone`.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        if !self.colours {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Bold => "1",
            Tone::Dim => "2",
            Tone::Good => "32",
            Tone::Warn => "33",
            Tone::Bad => "31",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// One line. A reader that went away is not an error.
    pub fn line(&mut self, text: &str) {
        let mut out = std::io::stdout().lock();
        if std::mem::take(&mut self.dirty) {
            let _ = write!(out, "\r\x1b[K");
        }
        let _ = writeln!(out, "{text}");
        let _ = out.flush();
    }

    /// A heading with an empty line above.
    pub fn heading(&mut self, text: &str) {
        let text = self.paint(Tone::Bold, text);
        self.line("");
        self.line(&text);
    }

    /// A command to copy.
    pub fn command(&mut self, text: &str) {
        let prompt = self.paint(Tone::Dim, "  $");
        self.line(&format!("{prompt} {text}"));
    }

    /// Text of a program, indented, with everything that could drive a terminal made visible.
    pub fn block(&mut self, text: &str) {
        for line in text.lines() {
            let clean: String = line.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
            self.line(&format!("  {clean}"));
        }
    }

    /// Replaces the progress line; off a terminal, prints one now and then.
    pub fn progress(&mut self, text: &str) {
        if self.terminal {
            let mut out = std::io::stdout().lock();
            let short: String = text.chars().take(self.columns() - 1).collect();
            let _ = write!(out, "\r\x1b[K{short}");
            let _ = out.flush();
            self.dirty = true;
        } else if self.printed.is_none_or(|printed| printed.elapsed() >= PROGRESS_EVERY) {
            self.line(text);
            self.printed = Some(Instant::now());
        }
    }
}

/// 1234567 as `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in the unit people say them in.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in UNITS {
        if value < 1_000.0 {
            break;
        }
        value /= 1_000.0;
        unit = next;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(size(999), "999 B");
        assert_eq!(size(1_500_000), "1.5 MB");
    }
}
