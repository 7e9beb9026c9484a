//! Gzip (RFC 1952) with any number of members, keeping every byte decoded before damage.
//!
//! A decoder behind a plain `Read` drops what it produced in the call that fails; log files cut or
//! damaged in the middle are read here for the records before the damage, so this one hands those
//! bytes out first and reports the failure with the next call.

use flate2::{Decompress, FlushDecompress, Status};
use std::io::{self, BufRead, Read};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Header,
    Body,
    Trailer,
    Done,
}

/// A gzip decoder over buffered input.
pub struct Gzip<R> {
    input: R,
    inflate: Decompress,
    state: State,
    members: u64,
    checksum: crc32fast::Hasher,
    length: u32,
    failure: Option<io::Error>,
}

impl<R: BufRead> Gzip<R> {
    /// Starts before the first member's header.
    pub fn new(input: R) -> Self {
        Self {
            input,
            inflate: Decompress::new(false),
            state: State::Header,
            members: 0,
            checksum: crc32fast::Hasher::new(),
            length: 0,
            failure: None,
        }
    }

    fn byte(&mut self) -> io::Result<u8> {
        let byte = *self.input.fill_buf()?.first().ok_or(io::ErrorKind::UnexpectedEof)?;
        self.input.consume(1);
        Ok(byte)
    }

    fn word(&mut self) -> io::Result<u32> {
        let mut bytes = [0; 4];
        for byte in &mut bytes {
            *byte = self.byte()?;
        }
        Ok(u32::from_le_bytes(bytes))
    }

    /// Reads a member header; false at a clean end of input. Zero padding after a member is skipped.
    fn header(&mut self) -> io::Result<bool> {
        if self.members > 0 {
            loop {
                let available = self.input.fill_buf()?;
                if available.is_empty() {
                    return Ok(false);
                }
                let zeros = available.iter().take_while(|byte| **byte == 0).count();
                let all = zeros == available.len();
                self.input.consume(zeros);
                if !all {
                    break;
                }
            }
        }
        let magic = [self.byte()?, self.byte()?];
        if magic != [0x1f, 0x8b] {
            return Err(corrupt("bytes after the last gzip member are not gzip"));
        }
        if self.byte()? != 8 {
            return Err(corrupt("unknown gzip compression method"));
        }
        let flags = self.byte()?;
        for _ in 0..6 {
            self.byte()?; // modification time, extra flags, operating system
        }
        if flags & 0x04 != 0 {
            let length = u16::from_le_bytes([self.byte()?, self.byte()?]);
            for _ in 0..length {
                self.byte()?;
            }
        }
        for flag in [0x08, 0x10] {
            // file name, comment: ended by a zero byte
            if flags & flag != 0 {
                while self.byte()? != 0 {}
            }
        }
        if flags & 0x02 != 0 {
            self.byte()?; // header checksum, two bytes
            self.byte()?;
        }
        self.members += 1;
        self.inflate.reset(false);
        self.checksum = crc32fast::Hasher::new();
        self.length = 0;
        Ok(true)
    }

    fn body(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let input = self.input.fill_buf()?;
            let at_end = input.is_empty();
            let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
            let flush = if at_end { FlushDecompress::Finish } else { FlushDecompress::None };
            let result = self.inflate.decompress(input, out, flush);
            let taken = (self.inflate.total_in() - before_in) as usize;
            let made = (self.inflate.total_out() - before_out) as usize;
            self.input.consume(taken);
            let fresh = out.get(..made).unwrap_or(&[]);
            self.checksum.update(fresh);
            self.length = self.length.wrapping_add(made as u32); // RFC 1952: length modulo 2^32
            match result {
                Ok(Status::StreamEnd) => {
                    self.state = State::Trailer;
                    return Ok(made);
                }
                Ok(_) if made > 0 => return Ok(made),
                Ok(_) if at_end => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) if taken > 0 => {}
                Ok(_) => return Err(corrupt("deflate stream makes no progress")),
                Err(error) => {
                    let failure = corrupt(&format!("deflate: {error}"));
                    if made == 0 {
                        return Err(failure);
                    }
                    self.failure = Some(failure);
                    return Ok(made);
                }
            }
        }
    }

    fn trailer(&mut self) -> io::Result<()> {
        let (checksum, length) = (self.word()?, self.word()?);
        if checksum != self.checksum.clone().finalize() || length != self.length {
            return Err(corrupt("gzip checksum does not match"));
        }
        Ok(())
    }
}

fn corrupt(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if let Some(failure) = self.failure.take() {
            self.state = State::Done;
            return Err(failure);
        }
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            match self.state {
                State::Header => self.state = if self.header()? { State::Body } else { State::Done },
                State::Body => {
                    let made = self.body(out)?;
                    if made > 0 {
                        return Ok(made);
                    }
                }
                State::Trailer => {
                    self.trailer()?;
                    self.state = State::Header;
                }
                State::Done => return Ok(0),
            }
        }
    }
}
