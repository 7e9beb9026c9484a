//! IP addresses in canonical text: what `src_ip` and its kin hold.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

/// The canonical form of an address: IPv4 dotted quad, IPv6 compressed and lower case.
///
/// `None` for everything else, also for quads with leading zeros (`10.0.0.07`): programs disagree
/// on whether those are octal, so they match nothing reliably.
pub fn canonical(text: &str) -> Option<Cow<'_, str>> {
    if is_ipv4(text) {
        return Some(Cow::Borrowed(text));
    }
    if !text.contains(':') {
        return None;
    }
    let address: Ipv6Addr = text.parse().ok()?;
    let canonical = address.to_string();
    Some(if canonical == text { Cow::Borrowed(text) } else { Cow::Owned(canonical) })
}

/// Whether the text is a dotted quad without leading zeros.
fn is_ipv4(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() < 7 || bytes.len() > 15 {
        return false;
    }
    let (mut parts, mut value, mut digits) = (1, 0u32, 0);
    for &byte in bytes {
        match byte {
            b'0'..=b'9' => {
                if digits > 0 && value == 0 {
                    return false;
                }
                value = value * 10 + u32::from(byte - b'0');
                digits += 1;
                if value > 255 {
                    return false;
                }
            }
            b'.' if digits > 0 => {
                parts += 1;
                value = 0;
                digits = 0;
            }
            _ => return false,
        }
    }
    parts == 4 && digits > 0
}

/// Splits `address`, `address:port` or `[address]:port`; the address comes back canonical.
pub fn with_port(text: &str) -> Option<(Cow<'_, str>, Option<i32>)> {
    if let Some(address) = canonical(text) {
        return Some((address, None));
    }
    let (host, port) = text.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let port = port.parse::<u16>().ok()?;
    Some((canonical(host)?, Some(i32::from(port))))
}

/// Whether an address says nothing about a client on the Internet: private, loopback, link-local,
/// carrier-grade NAT, unique-local.
pub fn is_internal(text: &str) -> bool {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => {
            let [first, second, ..] = address.octets();
            address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_unspecified()
                || (first == 100 && second & 0xc0 == 64)
        }
        Ok(IpAddr::V6(address)) => {
            address.is_loopback()
                || address.is_unspecified()
                || address.segments()[0] & 0xfe00 == 0xfc00
                || address.segments()[0] & 0xffc0 == 0xfe80
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    #[test]
    fn only_addresses_pass() {
        assert_eq!(canonical("203.0.113.12").as_deref(), Some("203.0.113.12"));
        assert_eq!(canonical("2001:DB8:0:0::1").as_deref(), Some("2001:db8::1"));
        for text in [
            "AWS Internal",
            "ec2.amazonaws.com",
            "253.252.51.07",
            "30.*.0.210",
            "",
            "1.2.3",
            "1.2.3.4.5",
            "256.1.1.1",
            "1..2.3",
            "fe80::1%eth0",
            "00.1.1.1",
        ] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }

    #[test]
    fn ports_are_split_off() {
        assert_eq!(with_port("10.0.0.1:80"), Some(("10.0.0.1".into(), Some(80))));
        assert_eq!(with_port("[2001:db8::1]:443"), Some(("2001:db8::1".into(), Some(443))));
        assert_eq!(with_port("::1"), Some(("::1".into(), None)));
        assert_eq!(with_port("host:80"), None);
    }

    #[test]
    fn internal_addresses_are_known() {
        for text in [
            "10.1.2.3",
            "127.0.0.1",
            "192.168.0.1",
            "172.17.0.1",
            "169.254.1.1",
            "100.64.0.1",
            "::1",
            "fd00::1",
        ] {
            assert!(is_internal(text), "{text}");
        }
        assert!(!is_internal("81.2.69.143") && !is_internal("2a02:cf40::1"));
    }

    proptest! {
        #[test]
        fn agrees_with_the_standard_library(text in "[0-9.]{0,16}") {
            prop_assert_eq!(is_ipv4(&text), text.parse::<Ipv4Addr>().is_ok());
        }
    }
}
