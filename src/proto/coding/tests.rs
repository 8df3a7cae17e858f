//! Each behaviour over every coding that is compiled in.

use super::*;
#[cfg(feature = "gzip")]
use flate2::{Compression, GzBuilder, write};
#[cfg(feature = "gzip")]
use std::io::Write;

/// What the fixtures hold.
pub(super) fn text() -> Vec<u8> {
    let line = |i: u32| format!("{i}: the quick brown fox jumps over the lazy dog {}\n", i * i % 97);
    (0..60).map(line).collect::<String>().into_bytes()
}

pub(super) fn decoder(coding: &str) -> Decoder {
    Decoder::for_encoding([coding]).expect("a field we take").expect("a coding we know")
}

/// Decodes a body given in pieces of one size into pieces of another.
pub(super) fn decode_by(coding: &str, body: &[u8], input: usize, output: usize) -> Result<Vec<u8>> {
    let mut decoder = decoder(coding);
    let (mut decoded, mut room) = (Vec::new(), vec![0; output]);
    for mut piece in body.chunks(input) {
        loop {
            let progress = decoder.decode(piece, &mut room)?;
            assert!(progress.pending || progress.consumed == piece.len(), "{progress:?}");
            decoded.extend_from_slice(&room[..progress.produced]);
            piece = &piece[progress.consumed..];
            if !progress.pending {
                break;
            }
        }
    }
    decoder.finish()?;
    Ok(decoded)
}

pub(super) fn decode(coding: &str, body: &[u8]) -> Result<Vec<u8>> {
    decode_by(coding, body, usize::MAX, 64 * 1024)
}

#[cfg(feature = "gzip")]
pub(super) fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = write::GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).expect("memory");
    encoder.finish().expect("memory")
}

#[cfg(feature = "gzip")]
pub(super) fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = write::ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).expect("memory");
    encoder.finish().expect("memory")
}

#[cfg(feature = "gzip")]
pub(super) fn bare_deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = write::DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).expect("memory");
    encoder.finish().expect("memory")
}

/// The text in every form that can be decoded.
fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        #[cfg(feature = "gzip")]
        ("gzip", gzip(&text())),
        #[cfg(feature = "gzip")]
        ("gzip", {
            let builder = GzBuilder::new().extra([7; 300]).filename("name").comment("a comment");
            let mut encoder = builder.write(Vec::new(), Compression::best());
            encoder.write_all(&text()).expect("memory");
            encoder.finish().expect("memory")
        }),
        #[cfg(feature = "gzip")]
        ("X-GZip", [gzip(&text()[..1000]), gzip(b""), gzip(&text()[1000..])].concat()),
        #[cfg(feature = "gzip")]
        ("deflate", zlib(&text())),
        #[cfg(feature = "gzip")]
        ("Deflate", bare_deflate(&text())),
        #[cfg(feature = "gzip")]
        ("deflate, gzip", gzip(&zlib(&text()))),
        #[cfg(feature = "brotli")]
        ("br", super::fixtures::TEXT_BR.to_vec()),
        #[cfg(all(feature = "brotli", feature = "gzip"))]
        ("br, gzip", gzip(super::fixtures::TEXT_BR)),
        #[cfg(feature = "zstd")]
        ("zstd", super::fixtures::TEXT_ZSTD.to_vec()),
        #[cfg(feature = "zstd")]
        ("ZSTD", super::fixtures::PIPED_ZSTD.to_vec()),
        #[cfg(all(feature = "zstd", feature = "gzip"))]
        ("zstd, gzip", gzip(super::fixtures::TEXT_ZSTD)),
    ]
}

#[test]
fn decodes_however_the_body_is_cut() {
    for (coding, body) in bodies() {
        for input in [1, 2, 3, 7, 100, usize::MAX] {
            for output in [1, 2, 5, 1000, 64 * 1024] {
                let decoded = decode_by(coding, &body, input, output);
                assert_eq!(decoded.expect(coding), text(), "{coding} by {input} into {output}");
            }
        }
    }
}

#[test]
fn decodes_into_spare_capacity_and_no_further() {
    for (coding, body) in bodies() {
        let mut decoder = decoder(coding);
        let (mut decoded, mut rest) = (Vec::new(), &body[..]);
        let mut room = Vec::with_capacity(777);
        loop {
            let progress = decoder.decode_to_vec(rest, &mut room).expect(coding);
            assert_eq!((progress.produced, room.capacity()), (room.len(), 777));
            decoded.append(&mut room);
            rest = &rest[progress.consumed..];
            if !progress.pending {
                break;
            }
        }
        decoder.finish().expect(coding);
        assert_eq!(decoded, text(), "{coding}");
    }
}

#[test]
fn a_body_cut_short_is_an_error_wherever_it_is_cut() {
    for (coding, body) in bodies().into_iter().filter(|(coding, _)| *coding != "X-GZip") {
        for end in 1..body.len() {
            let error = decode(coding, &body[..end]).expect_err(coding);
            assert_eq!(error.kind(), ErrorKind::CannotDecodeContentData);
            assert!(error.to_string().contains("the body ends in the middle of it"), "{error}");
            assert_eq!(
                decode_by(coding, &body[..end], 1, 1).expect_err(coding).to_string(),
                error.to_string()
            );
        }
    }
}

#[test]
fn a_body_of_no_bytes_is_empty() {
    for (coding, _) in bodies() {
        assert_eq!(decode(coding, b"").expect(coding), b"");
    }
}

#[test]
fn no_flipped_bit_goes_unnoticed_where_there_is_a_checksum() {
    for (coding, body) in bodies() {
        // All of what is like a header, and enough of the rest.
        for bit in (0..240).chain((240..body.len() * 8).step_by(13)) {
            let mut body = body.clone();
            body[bit / 8] ^= 1 << (bit % 8);
            let decoded = decode(coding, &body);
            // Header fields that no checksum covers may change, what is decoded may not.
            let checked = coding.ends_with("gzip") || coding.eq_ignore_ascii_case("zstd");
            if let (Ok(decoded), true) = (decoded, checked) {
                assert!(decoded == text(), "{coding}, bit {bit}");
            }
        }
    }
}

#[test]
fn a_decoder_that_failed_goes_on_failing() {
    for (coding, _) in bodies() {
        let mut decoder = decoder(coding);
        let garbage = [0xff; 64];
        let error = decoder.decode(&garbage, &mut [0; 64]).expect_err(coding).to_string();
        let name = coding.rsplit(',').next().expect("a name").trim().to_ascii_lowercase();
        assert!(error.contains(name.trim_start_matches("x-")), "{error}");
        assert_eq!(decoder.decode(b"", &mut [0; 64]).expect_err(coding).to_string(), error);
        assert_eq!(decoder.finish().expect_err(coding).to_string(), error);
    }
}

#[test]
fn without_room_nothing_is_done() {
    for (coding, body) in bodies() {
        let progress = decoder(coding).decode(&body, &mut []).expect(coding);
        assert_eq!(progress, Progress { consumed: 0, produced: 0, pending: true });
    }
}

#[test]
fn what_is_unknown_is_left_as_it_is() {
    let is_raw = |values: &[&str]| Decoder::for_encoding(values).expect("no error").is_none();
    assert!(is_raw(&[]));
    assert!(is_raw(&["", " , ", "identity", "Identity"]));
    assert!(is_raw(&["compress"]));
    assert!(is_raw(&["gzip", "rot13"]));
    assert!(is_raw(&["gzip;q=1"]));
    assert_eq!(is_raw(&["gzip"]), !cfg!(feature = "gzip"));
    assert_eq!(is_raw(&["x-gzip", "deflate"]), !cfg!(feature = "gzip"));
    assert_eq!(is_raw(&["br"]), !cfg!(feature = "brotli"));
    assert_eq!(is_raw(&["zstd"]), !cfg!(feature = "zstd"));
    for coding in ACCEPT_ENCODING.unwrap_or_default().split(", ").filter(|name| !name.is_empty()) {
        assert!(!is_raw(&[coding]), "{coding} is asked for");
    }
}

#[cfg(feature = "gzip")]
#[test]
fn more_than_five_codings_are_refused() {
    let error = Decoder::for_encoding(["gzip, gzip, gzip", "gzip,gzip,gzip"]).err().expect("an error");
    assert_eq!(error.kind(), ErrorKind::CannotDecodeContentData);
}

#[cfg(feature = "gzip")]
#[test]
fn five_codings_are_taken_off() {
    let body = (0..5).fold(text(), |body, _| gzip(&body));
    let coding = "gzip,identity, gzip ,, gzip,gzip,gzip";
    for (input, output) in [(1, 1), (7, 100), (usize::MAX, 64 * 1024)] {
        assert_eq!(decode_by(coding, &body, input, output).expect("a good body"), text());
    }
    assert!(decode(coding, &body[..body.len() - 1]).is_err());
}

#[cfg(feature = "gzip")]
#[test]
fn codings_of_several_fields_stack_in_order() {
    let values = ["deflate", "gzip"].map(http::HeaderValue::from_static);
    let mut decoder = Decoder::for_encoding(&values).expect("a field we take").expect("codings we know");
    let mut decoded = Vec::with_capacity(10_000);
    decoder.decode_to_vec(&gzip(&zlib(&text())), &mut decoded).expect("a good body");
    assert_eq!(decoded, text());
}

#[cfg(feature = "gzip")]
#[test]
fn a_bomb_in_a_bomb_lets_the_caller_breathe() {
    // A long row of empty members decodes to nothing at all.
    let body = gzip(&gzip(b"").repeat(160_000));
    let mut decoder = decoder("gzip, gzip");
    let (mut rest, mut calls) = (&body[..], 0);
    loop {
        let progress = decoder.decode(rest, &mut [0; 100]).expect("a good body");
        assert_eq!(progress.produced, 0);
        rest = &rest[progress.consumed..];
        calls += 1;
        if !progress.pending {
            break;
        }
    }
    decoder.finish().expect("a whole body");
    assert!(calls > 2, "{calls} calls");
}
