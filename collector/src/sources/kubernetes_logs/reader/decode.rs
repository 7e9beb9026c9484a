//! Bytes of a file as text: compressed ones decompressed, other encodings as UTF-8, front to back.

use super::*;
use flate2::bufread::MultiGzDecoder;
use std::io::BufReader;

/// Bytes of a file as UTF-8, decompressed and decoded front to back.
pub(super) fn decoded(
    file: File,
    gzip: bool,
    encoding: Option<&'static encoding_rs::Encoding>,
) -> Box<dyn Read + Send> {
    let bytes: Box<dyn Read + Send> =
        if gzip { Box::new(MultiGzDecoder::new(BufReader::new(file))) } else { Box::new(file) };
    match encoding {
        Some(encoding) => {
            let decoder = encoding.new_decoder();
            Box::new(Decoded { bytes, decoder, text: Vec::new(), at: 0, ended: false })
        }
        None => bytes,
    }
}

/// Text of another encoding as UTF-8. A byte order mark is obeyed and removed; what can't be
/// decoded becomes U+FFFD.
pub(super) struct Decoded {
    pub(super) bytes: Box<dyn Read + Send>,
    pub(super) decoder: encoding_rs::Decoder,
    pub(super) text: Vec<u8>,
    pub(super) at: usize,
    pub(super) ended: bool,
}

impl Read for Decoded {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        // Half a character gives no text yet: the rest comes with the next bytes.
        while self.at == self.text.len() && !self.ended {
            let mut raw = [0; 4096];
            let len = self.bytes.read(&mut raw)?;
            self.ended = len == 0;
            self.text.clear();
            self.at = 0;
            decode(&mut self.decoder, &raw[..len], self.ended, &mut self.text);
        }
        let len = out.len().min(self.text.len() - self.at);
        out[..len].copy_from_slice(&self.text[self.at..self.at + len]);
        self.at += len;
        Ok(len)
    }
}

/// Adds the text of some more bytes, and of half a character left over when they are the last.
pub(super) fn decode(decoder: &mut encoding_rs::Decoder, raw: &[u8], last: bool, text: &mut Vec<u8>) {
    let from = text.len();
    // Large enough for every expansion, so that all input is taken at once.
    let most = decoder.max_utf8_buffer_length(raw.len()).unwrap_or(4 * raw.len() + 16);
    text.resize(from + most, 0);
    let (_, _, written, _) = decoder.decode_to_utf8(raw, &mut text[from..], last);
    text.truncate(from + written);
}

/// A file of another encoding that is still written to. Everything outside counts bytes of its text;
/// what the file system says about it is compared with the bytes that were decoded.
pub(super) struct Encoded {
    pub(super) file: File,
    pub(super) decoder: encoding_rs::Decoder,
    /// Bytes of the file that were decoded.
    pub(super) raw: u64,
    /// How the file begins, to notice that it was rewritten.
    pub(super) start: Vec<u8>,
    /// The last bytes before `raw`.
    pub(super) tip: Vec<u8>,
    /// Text from `at` on that may be asked for again.
    pub(super) text: Vec<u8>,
    pub(super) at: u64,
    pub(super) ended: bool,
}

impl Encoded {
    pub(super) fn new(file: File, encoding: &'static encoding_rs::Encoding) -> Self {
        let mut start = vec![0; HEAD_BYTES];
        // It was read a moment ago; if not now, the next read says why.
        let len = read_at_full(&file, &mut start, 0).unwrap_or(0);
        start.truncate(len);
        let (decoder, tip) = (encoding.new_decoder(), Vec::with_capacity(MARK_BYTES));
        Self { file, decoder, raw: 0, start, tip, text: Vec::new(), at: 0, ended: false }
    }

    /// Where the text ends that was decoded so far.
    pub(super) fn end(&self) -> u64 {
        self.at + self.text.len() as u64
    }

    pub(super) fn same_start(&self) -> io::Result<bool> {
        let mut bytes = [0; HEAD_BYTES];
        let len = read_at_full(&self.file, &mut bytes[..self.start.len()], 0)?;
        Ok(self.start == bytes[..len])
    }

    /// Fills `out` with text from `offset` on, which goes back no further than before. `None` when
    /// the file was truncated underneath.
    pub(super) fn fill(&mut self, out: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        let mut chunk = [0u8; MARK_BYTES + 32 * 1024];
        loop {
            let done = usize::try_from(offset.saturating_sub(self.at)).unwrap_or(usize::MAX);
            let done = done.min(self.text.len());
            self.text.drain(..done);
            self.at += done as u64;
            if self.end() >= offset + out.len() as u64 {
                break;
            }
            let before = self.tip.len();
            let wanted = &mut chunk[..before + 32 * 1024];
            let whole = wanted.len();
            let len = read_at_full(&self.file, wanted, self.raw - before as u64)?;
            if len < before || wanted[..before] != self.tip {
                return Ok(None);
            }
            self.decode(&chunk[before..len], false);
            self.raw += (len - before) as u64;
            self.tip.clear();
            self.tip.extend_from_slice(&chunk[len.saturating_sub(MARK_BYTES)..len]);
            if len < whole {
                break;
            }
        }
        // The end of a line that the last bytes completed may be all there is before the offset.
        let done = usize::try_from(offset.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let text = self.text.get(done..).unwrap_or_default();
        let len = out.len().min(text.len());
        out[..len].copy_from_slice(&text[..len]);
        Ok(Some(len))
    }

    pub(super) fn decode(&mut self, raw: &[u8], last: bool) {
        if !self.ended {
            decode(&mut self.decoder, raw, last, &mut self.text);
        }
        self.ended |= last;
    }
}

/// A compressed file, decoded front to back.
pub(super) struct Gzip {
    pub(super) decoder: Box<dyn Read + Send>,
    pub(super) size: u64,
    pub(super) buffer: Vec<u8>,
    pub(super) at: u64,
    pub(super) ended: bool,
    /// Decoding failed here: what was decoded before counts, then this is reported.
    pub(super) failed: Option<io::Error>,
}

impl Gzip {
    pub(super) fn new(file: File, encoding: Option<&'static encoding_rs::Encoding>) -> Self {
        let size = file.metadata().map_or(0, |metadata| metadata.len());
        let decoder = decoded(file, true, encoding);
        Self { decoder, size, buffer: Vec::new(), at: 0, ended: false, failed: None }
    }

    /// Fills `out` with decoded bytes from `offset` on, which never goes back.
    pub(super) fn fill(&mut self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        let end = offset + out.len() as u64;
        let mut chunk = [0u8; 32 * 1024];
        while !self.ended && self.at + (self.buffer.len() as u64) < end {
            self.discard(offset);
            match self.decoder.read(&mut chunk) {
                Ok(0) => self.ended = true,
                Ok(len) => self.buffer.extend_from_slice(&chunk[..len]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
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
    pub(super) fn discard(&mut self, offset: u64) {
        let done = usize::try_from(offset.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let done = done.min(self.buffer.len());
        self.buffer.drain(..done);
        self.at += done as u64;
    }
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

pub(super) fn read_at_full(file: &File, out: &mut [u8], offset: u64) -> io::Result<usize> {
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

pub(super) fn read_full(input: &mut impl Read, out: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < out.len() {
        match input.read(&mut out[len..]) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}
