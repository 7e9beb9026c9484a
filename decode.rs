//! Files whose bytes are not the text itself: compressed ones, and those in another encoding than
//! UTF-8.
//!
//! They are decoded front to back. Offsets, positions and fingerprints count decoded bytes, so a
//! compressed copy continues where its original was left; the size of the file on disk says nothing
//! about them.

use encoding_rs::Encoding;
use flate2::bufread::MultiGzDecoder;
use std::fs::{File, Metadata};
use std::io::{self, BufReader, Read, Seek as _};
use std::os::unix::fs::FileExt;

/// A file being decoded.
pub struct Decoding {
    decoder: Box<dyn Read + Send>,
    /// The same open file: shares its place with the decoder.
    raw: File,
    gzip: bool,
    encoding: Option<&'static Encoding>,
    buffer: Vec<u8>,
    at: u64,
    ended: bool,
    /// Decoding failed here: what was decoded before counts, then this is reported.
    failed: Option<io::Error>,
}

impl Decoding {
    /// Decodes a file from its start.
    ///
    /// # Errors
    /// When its descriptor can't be duplicated.
    pub fn new(file: File, gzip: bool, encoding: Option<&'static Encoding>) -> io::Result<Self> {
        let decoder = decoder(file.try_clone()?, gzip, encoding);
        Ok(Self {
            decoder,
            raw: file,
            gzip,
            encoding,
            buffer: Vec::new(),
            at: 0,
            ended: false,
            failed: None,
        })
    }

    /// It is compressed: nobody will write to it.
    pub fn is_gzip(&self) -> bool {
        self.gzip
    }

    /// Size and modification time on disk.
    ///
    /// # Errors
    /// When the file can't be looked at.
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.raw.metadata()
    }

    /// Bytes of the file on disk that were decoded so far.
    ///
    /// # Errors
    /// When the file can't be looked at.
    pub fn consumed(&self) -> io::Result<u64> {
        (&self.raw).stream_position()
    }

    /// Offset behind the last decoded byte.
    pub fn decoded_to(&self) -> u64 {
        self.at + self.buffer.len() as u64
    }

    /// The first decoded bytes of the file as it is now.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn start(&self, out: &mut [u8]) -> io::Result<usize> {
        start(&self.raw, self.gzip, self.encoding, out)
    }

    /// Why decoding ended early, once.
    pub fn failure(&mut self) -> Option<io::Error> {
        self.failed.take()
    }

    /// Fills `out` with decoded bytes from `offset` on, which never goes back.
    ///
    /// # Errors
    /// When a file that is not compressed can't be read; it can be tried again. A compressed one
    /// gives what it can, then a [`Self::failure`].
    pub fn fill(&mut self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        let end = offset + out.len() as u64;
        let mut chunk = [0u8; 32 * 1024];
        while !self.ended && self.decoded_to() < end {
            self.discard(offset);
            match self.decoder.read(&mut chunk) {
                Ok(0) if !self.gzip => break,
                Ok(0) => self.ended = true,
                Ok(len) => self.buffer.extend_from_slice(&chunk[..len]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if !self.gzip => return Err(error),
                Err(error) => {
                    self.failed = Some(error);
                    self.ended = true;
                }
            }
        }
        self.discard(offset);
        let len = if self.at == offset { out.len().min(self.buffer.len()) } else { 0 };
        out[..len].copy_from_slice(&self.buffer[..len]);
        Ok(len)
    }

    /// Forgets decoded bytes before `offset`.
    fn discard(&mut self, offset: u64) {
        let done = usize::try_from(offset.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let done = done.min(self.buffer.len());
        self.buffer.drain(..done);
        self.at += done as u64;
    }
}

/// The first decoded bytes of a file, without moving its place.
///
/// # Errors
/// When the file can't be read or decoded.
pub fn start(
    file: &File,
    gzip: bool,
    encoding: Option<&'static Encoding>,
    out: &mut [u8],
) -> io::Result<usize> {
    let mut decoder = decoder(Placed { file, at: 0 }, gzip, encoding);
    let mut len = 0;
    while len < out.len() {
        match decoder.read(&mut out[len..]) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

/// Length of a file's decoded content.
///
/// # Errors
/// When the file can't be read or decoded to its end.
pub fn length(file: &File, gzip: bool, encoding: Option<&'static Encoding>) -> io::Result<u64> {
    io::copy(&mut decoder(Placed { file, at: 0 }, gzip, encoding), &mut io::sink())
}

/// Length of a gzip file's content modulo 4 GiB, from its last four bytes.
///
/// # Errors
/// When the file can't be read.
pub fn gzip_length(file: &File) -> io::Result<u32> {
    let size = file.metadata()?.len();
    let mut last = [0u8; 4];
    file.read_exact_at(&mut last, size.saturating_sub(4))?;
    Ok(u32::from_le_bytes(last))
}

/// Bytes as UTF-8, decompressed and decoded front to back.
fn decoder<'a>(
    bytes: impl Read + Send + 'a,
    gzip: bool,
    encoding: Option<&'static Encoding>,
) -> Box<dyn Read + Send + 'a> {
    let bytes: Box<dyn Read + Send + 'a> =
        if gzip { Box::new(MultiGzDecoder::new(BufReader::new(bytes))) } else { Box::new(bytes) };
    match encoding {
        Some(encoding) => {
            Box::new(Recoded { bytes, decoder: encoding.new_decoder(), text: Vec::new(), at: 0 })
        }
        None => bytes,
    }
}

/// A file read from a place of its own.
struct Placed<'a> {
    file: &'a File,
    at: u64,
}

impl Read for Placed<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read_at(out, self.at)?;
        self.at += len as u64;
        Ok(len)
    }
}

/// Text of another encoding as UTF-8. A byte order mark is obeyed and removed; what can't be
/// decoded becomes U+FFFD.
struct Recoded<'a> {
    bytes: Box<dyn Read + Send + 'a>,
    decoder: encoding_rs::Decoder,
    text: Vec<u8>,
    at: usize,
}

impl Read for Recoded<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.text.len() {
            let mut raw = [0; 4096];
            let len = self.bytes.read(&mut raw)?;
            if len == 0 {
                return Ok(0);
            }
            // Large enough for every expansion, so that all input is taken at once. Nothing comes
            // out of half a character: then the rest of it comes with the next bytes.
            self.text.resize(self.decoder.max_utf8_buffer_length(len).unwrap_or(4 * len + 16), 0);
            let (_, _, written, _) = self.decoder.decode_to_utf8(&raw[..len], &mut self.text, false);
            self.text.truncate(written);
            self.at = 0;
        }
        let len = out.len().min(self.text.len() - self.at);
        out[..len].copy_from_slice(&self.text[self.at..self.at + len]);
        self.at += len;
        Ok(len)
    }
}

/// Fills `out` from `offset` on, as far as the file goes.
///
/// # Errors
/// When the file can't be read.
pub fn read_at_full(file: &File, out: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut len = 0;
    while len < out.len() {
        match file.read_at(&mut out[len..], offset + len as u64) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}
