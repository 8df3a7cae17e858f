//! The body that `-d` and `--data-binary` give together, joined with `&`. Files are read while they are
//! sent, however large they are.

use crate::args::{Data, Source};
use crate::exit::{Exit, Failure};
use crate::forms;
use crate::requests::read;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use urlsession::Body;

/// A piece that can be read again.
enum Piece {
    Bytes(Vec<u8>),
    File { path: PathBuf, strip: bool, length: u64 },
}

/// The body; `None` if there is no data.
pub fn body(data: &[Data]) -> Result<Option<Body>, Failure> {
    let mut pieces = Vec::new();
    for data in data {
        if !pieces.is_empty() {
            pieces.push(Piece::Bytes(b"&".to_vec()));
        }
        pieces.push(piece(data)?);
    }
    Ok(match pieces.as_mut_slice() {
        [] => None,
        [Piece::Bytes(bytes)] => Some(Body::from(std::mem::take(bytes))),
        // As it is, the kernel can send it by itself.
        [Piece::File { path, strip: false, length }] => Some(Body::file_range(path, ..*length)),
        _ => {
            let length = pieces.iter().map(Piece::len).sum();
            Some(Body::from_fn(move || chain(&pieces)).with_length(length))
        }
    })
}

fn piece(data: &Data) -> Result<Piece, Failure> {
    let mut bytes = match &data.source {
        Source::Text(text) => return Ok(Piece::Bytes(text.clone().into_bytes())),
        Source::File(path) if path.is_file() => {
            let length = match data.strip {
                true => stripped_length(path),
                false => path.metadata().map(|metadata| metadata.len()),
            };
            let failed =
                |error| Failure::new(Exit::ReadInput, format!("reading {}: {error}", path.display()));
            let length = length.map_err(failed)?;
            return Ok(Piece::File { path: path.clone(), strip: data.strip, length });
        }
        // A pipe can be read once, and has no length.
        Source::File(path) => {
            forms::file(path, false)?;
            read(path, Exit::ReadInput)?
        }
        Source::Stdin => {
            let mut bytes = Vec::new();
            let result = io::stdin().lock().read_to_end(&mut bytes);
            let failed = |error| Failure::new(Exit::ReadInput, format!("reading standard input: {error}"));
            result.map(|_| bytes).map_err(failed)?
        }
    };
    if data.strip {
        bytes.retain(is_kept);
    }
    Ok(Piece::Bytes(bytes))
}

impl Piece {
    fn len(&self) -> u64 {
        match self {
            Piece::Bytes(bytes) => bytes.len() as u64,
            Piece::File { length, .. } => *length,
        }
    }
}

fn chain(pieces: &[Piece]) -> io::Result<Box<dyn Read + Send>> {
    let mut all: Box<dyn Read + Send> = Box::new(io::empty());
    for piece in pieces {
        let next: Box<dyn Read + Send> = match piece {
            Piece::Bytes(bytes) => Box::new(Cursor::new(bytes.clone())),
            Piece::File { path, strip: false, .. } => Box::new(File::open(path)?),
            Piece::File { path, .. } => Box::new(Stripped(File::open(path)?)),
        };
        all = Box::new(all.chain(next));
    }
    Ok(all)
}

/// A file without line ends and NULs.
struct Stripped(File);

impl Read for Stripped {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.0.read(buffer)?;
            let mut kept = 0;
            for at in 0..count {
                if is_kept(&buffer[at]) {
                    buffer[kept] = buffer[at];
                    kept += 1;
                }
            }
            if kept > 0 || count == 0 {
                return Ok(kept);
            }
        }
    }
}

fn stripped_length(path: &Path) -> io::Result<u64> {
    let mut file = BufReader::with_capacity(64 * 1024, File::open(path)?);
    let mut length = 0;
    loop {
        let bytes = file.fill_buf()?;
        if bytes.is_empty() {
            return Ok(length);
        }
        length += bytes.iter().filter(|byte| is_kept(byte)).count() as u64;
        let count = bytes.len();
        file.consume(count);
    }
}

fn is_kept(byte: &u8) -> bool {
    !matches!(byte, b'\r' | b'\n' | 0)
}
