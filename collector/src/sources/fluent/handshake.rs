//! Who may send: a shared key, and users with passwords where there are any.
//!
//! ```text
//! server  ["HELO", {"nonce", "auth", "keepalive"}]
//! client  ["PING", its host, a salt, sha512(salt host nonce key), user, sha512(auth user password)]
//! server  ["PONG", true, "", our host, sha512(salt our-host nonce key)]
//! ```
//!
//! Neither key nor passwords are sent. What follows is neither encrypted nor authenticated: the
//! handshake keeps out who should not send, not who can change what others send.

use super::message::decode;
use super::records::text;
use super::scan::Fault;
use rmpv::Value;
use sha2::{Digest as _, Sha512};
use std::collections::BTreeMap;
use std::io::Read as _;

/// Bytes of a nonce, and of the salt of passwords.
const NONCE_BYTES: usize = 16;

/// What clients must know.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// Known to all of them.
    pub shared_key: Vec<u8>,
    /// Passwords by user; none: users are not asked for.
    pub users: BTreeMap<String, String>,
}

/// A handshake under way.
#[derive(Debug)]
pub struct Handshake {
    secrets: Secrets,
    nonce: [u8; NONCE_BYTES],
    salt: [u8; NONCE_BYTES],
}

impl Handshake {
    /// With numbers nobody can guess.
    ///
    /// # Errors
    /// When the system has none.
    pub fn new(secrets: Secrets) -> std::io::Result<Self> {
        Ok(Self { secrets, nonce: random()?, salt: random()? })
    }

    /// What the server says first.
    pub fn helo(&self) -> Value {
        let auth = if self.secrets.users.is_empty() { Vec::new() } else { self.salt.to_vec() };
        let options = [
            ("nonce", Value::Binary(self.nonce.to_vec())),
            ("auth", Value::Binary(auth)),
            ("keepalive", true.into()),
        ];
        let options = options.into_iter().map(|(key, value)| (key.into(), value)).collect();
        Value::Array(vec!["HELO".into(), Value::Map(options)])
    }

    /// What the server says to a client's PING, and whether it may go on.
    ///
    /// # Errors
    /// When it is no PING.
    pub fn pong(&self, ping: &[u8], host: &str) -> Result<(Value, Result<(), Fault>), Fault> {
        let Value::Array(parts) = decode(ping)? else { return Err(Fault::Malformed("no PING")) };
        let Ok([name, client, salt, digest, user, password]) = <[Value; 6]>::try_from(parts) else {
            return Err(Fault::Malformed("a PING has six parts"));
        };
        if name.as_str() != Some("PING") {
            return Err(Fault::Malformed("no PING"));
        }
        let (client, salt, user) = (raw(client), raw(salt), text(user));
        let key = |host: &[u8]| hex(&[&salt, host, &self.nonce, &self.secrets.shared_key]);
        let verdict = if !equal(&raw(digest), key(&client).as_bytes()) {
            Err("shared_key mismatch")
        } else if self.secrets.users.is_empty() {
            Ok(())
        } else {
            let known = self.secrets.users.get(&user);
            let expected = hex(&[&self.salt, user.as_bytes(), known.map_or("", String::as_str).as_bytes()]);
            let right = equal(&raw(password), expected.as_bytes());
            if right && known.is_some() { Ok(()) } else { Err("username/password mismatch") }
        };
        let pong = match verdict {
            Ok(()) => [true.into(), "".into(), host.into(), key(host.as_bytes()).into()],
            Err(reason) => [false.into(), reason.into(), "".into(), "".into()],
        };
        let pong = std::iter::once("PONG".into()).chain(pong).collect();
        Ok((Value::Array(pong), verdict.map_err(Fault::Unauthorized)))
    }
}

/// Random bytes of the system.
///
/// # Errors
/// When it has none.
pub fn random() -> std::io::Result<[u8; NONCE_BYTES]> {
    let mut bytes = [0; NONCE_BYTES];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn raw(value: Value) -> Vec<u8> {
    match value {
        Value::String(text) => text.into_bytes(),
        Value::Binary(bytes) => bytes,
        _ => Vec::new(),
    }
}

/// SHA-512 over parts, in hexadecimal.
pub fn hex(parts: &[&[u8]]) -> String {
    let mut hasher = Sha512::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Takes the same time wherever they differ.
fn equal(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}
