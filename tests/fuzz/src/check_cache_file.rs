use crate::library::proto::caching::stored::Stored;
use crate::library::proto::xxh64::{Xxh64, xxh64};
use crate::library::storage::cache::format::{BLOCK, FIXED, Layout, Sums, head, whole};

/// What is read of a file of the cache is all there and the same when it is written and read again, whether
/// it is read at once or in blocks; and a file with a bit that is not as it was is none.
pub fn cache_file(data: &[u8]) {
    let Some(((how, place), rest)) = data.split_first_chunk::<5>().map(|(first, rest)| {
        let [how, place @ ..] = *first;
        ((how, u32::from_le_bytes(place) as usize), rest)
    }) else {
        return;
    };
    let mut file = rest.to_vec();
    if how & 1 != 0 {
        seal(&mut file);
    }
    let pieces = in_pieces(&file);
    let Ok((read, body)) = whole(&file) else {
        assert!(pieces.is_none(), "what is no entry as a whole is none in pieces");
        return;
    };
    let (url, stored, body) = (read.url.to_owned(), read.stored, &file[body]);
    assert_eq!(stored.body_length, body.len() as u64);
    assert_eq!(pieces, Some((url.clone(), stored.clone(), body.to_vec())));

    let sums = Sums::of(body);
    if let Some(head) = head(&url, &stored, &sums) {
        let again = [&head, body, sums.behind()].concat();
        let (read, at) = whole(&again).expect("its own bytes");
        assert_eq!((read.url, &read.stored, &again[at]), (&*url, &stored, body));
    }
    // One bit, anywhere.
    let at = place / 8 % file.len();
    file[at] ^= 1 << (place % 8);
    assert!(whole(&file).is_err(), "bit {place} of byte {at}");
}

/// As it is read from a file that is long: the head, then the sums, then each block.
fn in_pieces(file: &[u8]) -> Option<(String, Stored, Vec<u8>)> {
    let layout = Layout::read(file.get(..FIXED)?).ok()?;
    if layout.file_len() != file.len() as u64 {
        return None;
    }
    let head = layout.head(file.get(..layout.head_len())?).ok()?;
    let body = &file[layout.head_len()..][..layout.body as usize];
    if layout.sums_len() == 0 {
        layout.check_body(body, &[]).ok()?;
    } else {
        let sums = layout.sums(file[layout.sums_begin() as usize..].to_vec()).ok()?;
        for (number, block) in body.chunks(BLOCK).enumerate() {
            if !sums.is_right(number as u64, block) {
                return None;
            }
        }
    }
    Some((head.url.to_owned(), head.stored, body.to_vec()))
}

/// Makes lengths and checksums fit, which is nothing a fuzzer finds.
fn seal(file: &mut Vec<u8>) {
    let number = |file: &[u8], at: usize| {
        file.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes) as usize
    };
    if file.len() < FIXED {
        return;
    }
    let head_len = FIXED.saturating_add(number(file, 12)).saturating_add(number(file, 16));
    let Some(body) = file.get(head_len..).map(<[u8]>::to_vec) else { return };
    let sums = Sums::of(&body);
    file.extend_from_slice(sums.behind());
    let all: Vec<u8> = body.chunks(BLOCK).flat_map(|block| xxh64(block).to_le_bytes()).collect();
    file[24..32].copy_from_slice(&(body.len() as u64).to_le_bytes());
    file[32..40].copy_from_slice(&xxh64(&all).to_le_bytes());
    let metadata = FIXED + number(file, 12);
    // The length of the body stands in the metadata, too: behind format, version, status and two times.
    if let Some(length) = file.get_mut(metadata + 28..metadata + 36).filter(|_| metadata + 36 <= head_len) {
        length.copy_from_slice(&(body.len() as u64).to_le_bytes());
    }
    let mut sum = Xxh64::new();
    sum.update(&file[..40]);
    sum.update(&file[FIXED..head_len]);
    let sum = sum.sum().to_le_bytes();
    file[40..48].copy_from_slice(&sum);
}
