//! `defang(text)`: addresses and URLs that nobody opens by mistake.

use super::{map_text, only};
use arrow::array::StringViewArray;
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use std::net::Ipv6Addr;

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Defang {
    signature: Signature,
}

impl Default for Defang {
    fn default() -> Self {
        Defang { signature: Signature::string(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Defang {
    fn name(&self) -> &str {
        "defang"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let argument = only(&arguments.args, self.name())?;
        map_text::<StringViewArray>(&argument, |text| text.map(defang))
    }
}

/// `http` and `https` before `://` become `hxxp`, every dot between two letters or digits `[.]`, and
/// the colons of a lone IPv6 address `[:]`. Doing it twice changes nothing more.
pub fn defang(text: &str) -> String {
    if text.parse::<Ipv6Addr>().is_ok() {
        return text.replace(':', "[:]");
    }
    let mut safe = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        if let Some(after) = scheme(rest) {
            safe.push_str("hxxp");
            rest = after;
            continue;
        }
        rest = &rest[next.len_utf8()..];
        let between = safe.ends_with(char::is_alphanumeric) && rest.starts_with(char::is_alphanumeric);
        if next == '.' && between {
            safe.push_str("[.]");
        } else {
            safe.push(next);
        }
    }
    safe
}

/// What follows `http` where a URL of the web begins.
fn scheme(text: &str) -> Option<&str> {
    let head = text.get(..4)?;
    let after = &text[4..];
    let secure = after.get(..4).is_some_and(|next| next.eq_ignore_ascii_case("s://"));
    (head.eq_ignore_ascii_case("http") && (secure || after.starts_with("://"))).then_some(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_addresses_die_and_prose_lives() {
        for (text, expected) in [
            ("http://evil.example/a.b", "hxxp://evil[.]example/a[.]b"),
            ("HTTPS://x.y", "hxxpS://x[.]y"),
            ("203.0.113.7", "203[.]0[.]113[.]7"),
            ("2001:db8::1", "2001[:]db8[:][:]1"),
            ("End. Next", "End. Next"),
            ("", ""),
            ("münchen.example", "münchen[.]example"),
        ] {
            assert_eq!(defang(text), expected);
            assert_eq!(defang(expected), expected, "twice");
        }
    }
}
