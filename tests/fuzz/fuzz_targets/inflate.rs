//! Decompression: arbitrary bytes end, within the limit; what was compressed comes out again.
#![no_main]
use logq_fuzz::formats::inflate::Window;
use std::io::Write;

const LIMIT: u64 = 4 << 20;

fn all(stored: &[u8]) -> (Vec<u8>, bool) {
    let mut window = Window::open(stored, LIMIT);
    let mut text = Vec::new();
    while window.more() {
        text.extend_from_slice(window.data());
        window.consume(window.data().len());
    }
    assert!(window.inflated() <= LIMIT);
    (text, window.damage().is_some())
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    all(bytes);
    for magic in [[0x1f, 0x8b, 8, 0].as_slice(), &[0x28, 0xb5, 0x2f, 0xfd]] {
        all(&[magic, bytes].concat());
    }
    // A letter in front, so that the text is taken for no compression and no byte order mark.
    let text = [b"x".as_slice(), bytes].concat();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&text).expect("a vector");
    let once = encoder.finish().expect("a vector");
    assert!(all(&once) == (text.clone(), false));
    assert!(all(&zstd::encode_all(&once[..], 1).expect("a vector")) == (text, false));
});
