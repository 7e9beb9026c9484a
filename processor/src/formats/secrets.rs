//! Session tokens in what `rejected` keeps of a record. A record that parses loses them as JSON
//! values; bytes that do not parse are searched for the member's name, and what follows it is
//! overwritten, byte for byte, so that lengths and offsets stay what they are.

use memchr::memmem;

const NAMES: [&[u8]; 3] = [b"sessionToken", b"SessionToken", b"sessiontoken"];

/// What a token is overwritten with.
const MASK: u8 = b'*';

/// Overwrites session tokens in `raw`.
pub fn mask_session_tokens(raw: &mut [u8]) {
    for name in NAMES {
        let found: Vec<usize> = memmem::find_iter(raw, name).map(|at| at + name.len()).collect();
        for at in found {
            mask_value(raw, at);
        }
    }
}

/// Characters of base64 in any of its alphabets, and percent-encoded.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_' | b'%' | b'.' | MASK)
}

/// Overwrites what comes after the member's name: one string, or everything in a nested value.
fn mask_value(raw: &mut [u8], mut at: usize) {
    let byte = |raw: &[u8], at: usize| raw.get(at).copied();
    let mut assigned = false;
    // Quotes, also escaped ones, blanks, and the sign between name and value.
    while let Some(next) = byte(raw, at) {
        match next {
            b':' | b'=' => assigned = true,
            b'"' | b'\'' | b'\\' | b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => break,
        }
        at += 1;
    }
    if !assigned {
        return;
    }
    let mut depth = 0_u32;
    while let Some(next) = byte(raw, at) {
        match next {
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth <= 1 => return,
            b'}' | b']' => depth -= 1,
            // An escaped slash belongs to the token, an escaped quote ends it.
            b'\\' if byte(raw, at + 1) == Some(b'/') => {}
            next if is_token_byte(next) => {
                if let Some(place) = raw.get_mut(at) {
                    *place = MASK;
                }
            }
            _ if depth == 0 => return,
            _ => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str) -> String {
        let mut raw = text.as_bytes().to_vec();
        mask_session_tokens(&mut raw);
        assert_eq!(raw.len(), text.len());
        String::from_utf8(raw).expect("only ASCII is written")
    }

    #[test]
    fn g11_session_tokens_in_rejected_bytes_are_masked_and_nothing_else() {
        assert_eq!(
            masked(r#"{"accessKeyId":"ASIA1","sessionToken":"Ab+/9=","expiration":"x""#),
            r#"{"accessKeyId":"ASIA1","sessionToken":"******","expiration":"x""#
        );
        assert_eq!(
            masked(r#"{\"SessionToken\" : \"Ab\/9\",\"x\":1"#),
            r#"{\"SessionToken\" : \"**\*\",\"x\":1"#.replace(r"**\*\", r"**\**\")
        );
        assert_eq!(
            masked(r#"{"sessionToken":{"v":["Ab"]},"z":"Cd"}"#),
            r#"{"sessionToken":{"*":["**"]},"z":"Cd"}"#
        );
        assert_eq!(masked("sessiontoken=abc&x=1"), "sessiontoken=***&x=1");
        assert_eq!(
            masked(r#"{"note":"sessionToken expired","sessionToken":null}"#),
            r#"{"note":"sessionToken expired","sessionToken":****}"#
        );
        assert_eq!(masked(r#"{"sessionToken":"cut"#), r#"{"sessionToken":"***"#);
    }
}
