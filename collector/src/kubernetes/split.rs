//! Cuts an answer of the API server into its objects while it arrives, so that a list of many
//! large pods never lies in memory as a whole.

/// Largest object taken in. The API server refuses requests above 3 MiB, so no object is larger.
const OBJECT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A JSON object found in an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// Braces and brackets open around it.
    pub depth: usize,
    /// The object; empty when it was larger than any the API server stores.
    pub text: Vec<u8>,
}

/// Finds the objects that lie at `from` or more open braces and brackets, whole, not those inside.
#[derive(Debug)]
pub struct Splitter {
    from: usize,
    depth: usize,
    quoted: bool,
    escaped: bool,
    /// Depth of the object being taken in.
    inside: Option<usize>,
    text: Vec<u8>,
    skipping: bool,
}

impl Splitter {
    /// For a watch: every object of the answer is an event.
    pub fn events() -> Self {
        Self::new(0)
    }

    /// For a list: its metadata at depth 1, its items at depth 2.
    pub fn members() -> Self {
        Self::new(1)
    }

    fn new(from: usize) -> Self {
        Self {
            from,
            depth: 0,
            quoted: false,
            escaped: false,
            inside: None,
            text: Vec::new(),
            skipping: false,
        }
    }

    /// Takes the next bytes of the answer and hands each complete object to `found`.
    pub fn push(&mut self, bytes: &[u8], mut found: impl FnMut(Found)) {
        let mut start = 0;
        for (at, &byte) in bytes.iter().enumerate() {
            if self.quoted {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.quoted = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.quoted = true,
                b'{' | b'[' => {
                    if byte == b'{' && self.inside.is_none() && self.depth >= self.from {
                        self.inside = Some(self.depth);
                        start = at;
                    }
                    self.depth += 1;
                }
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.inside == Some(self.depth) {
                        self.take(&bytes[start..=at]);
                        self.inside = None;
                        self.skipping = false;
                        found(Found { depth: self.depth, text: std::mem::take(&mut self.text) });
                    }
                }
                _ => {}
            }
        }
        if self.inside.is_some() {
            self.take(&bytes[start..]);
        }
    }

    /// The answer was complete: nothing is open.
    pub fn is_complete(&self) -> bool {
        self.depth == 0 && !self.quoted
    }

    fn take(&mut self, bytes: &[u8]) {
        self.skipping |= self.text.len() + bytes.len() > OBJECT_BYTES_MAX;
        if self.skipping {
            self.text = Vec::new();
        } else {
            self.text.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(splitter: &mut Splitter, text: &str, step: usize) -> Vec<(usize, String)> {
        let mut all = Vec::new();
        for bytes in text.as_bytes().chunks(step) {
            splitter.push(bytes, |found| all.push((found.depth, String::from_utf8(found.text).unwrap())));
        }
        all
    }

    #[test]
    fn a_list_falls_into_metadata_and_items_wherever_the_bytes_are_cut() {
        let text =
            r#"{"kind":"PodList","metadata":{"continue":"a}"},"items":[{"a":{"b":"\"{"}}, {"c":[{}]}]}"#;
        let expected = [
            (1, r#"{"continue":"a}"}"#.to_owned()),
            (2, r#"{"a":{"b":"\"{"}}"#.to_owned()),
            (2, r#"{"c":[{}]}"#.to_owned()),
        ];
        for step in 1..text.len() {
            let mut splitter = Splitter::members();
            assert_eq!(split(&mut splitter, text, step), expected, "{step}");
            assert!(splitter.is_complete());
        }
    }

    #[test]
    fn a_watch_falls_into_events_and_half_an_event_is_none() {
        let mut splitter = Splitter::events();
        let found = split(&mut splitter, "{\"type\":\"ADDED\",\"object\":{}}\n{\"type\":", 5);
        assert_eq!(found, [(0, r#"{"type":"ADDED","object":{}}"#.to_owned())]);
        assert!(!splitter.is_complete());
    }

    #[test]
    fn an_object_too_large_to_be_real_takes_no_memory_and_hides_none_behind_it() {
        let text = format!("{{\"a\":\"{}\"}}{{\"b\":1}}", "x".repeat(OBJECT_BYTES_MAX));
        let mut splitter = Splitter::events();
        assert_eq!(split(&mut splitter, &text, 8192), [(0, String::new()), (0, r#"{"b":1}"#.to_owned())]);
        assert!(splitter.text.capacity() <= OBJECT_BYTES_MAX);
    }
}
