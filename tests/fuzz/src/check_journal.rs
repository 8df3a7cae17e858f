use crate::library::storage::journal::format::{
    Beginning, HEADER, Kind, MOST_RECORD, Records, Rest, beginning, header, record_len, records, write_record,
};
use bytes::Bytes;

const KIND: Kind = Kind(*b"fuzz");

/// What is read of a journal is what was written to it, from its beginning on without a gap, whatever became of the
/// file.
pub fn journal(data: &[u8]) {
    check_anything(data);
    // A place and a bit of it, and then records divided by a line's end.
    let Some((place, text)) = data.split_first_chunk::<3>() else { return };
    let written: Vec<&[u8]> =
        text.split(|&byte| byte == b'\n').filter(|record| record.len() <= MOST_RECORD).collect();
    let mut file = Vec::new();
    written.iter().for_each(|record| assert!(write_record(&mut file, record)));
    assert_eq!(file.len(), written.iter().map(|record| record_len(record.len())).sum());
    let whole = read(&file);
    assert_eq!(
        (whole.records.as_slice(), whole.rest),
        (
            written.iter().map(|record| Bytes::copy_from_slice(record)).collect::<Vec<_>>().as_slice(),
            Rest::Nothing
        )
    );

    let at = usize::from(u16::from_le_bytes([place[0], place[1]])) % file.len();
    let cut = read(&file[..at]);
    assert_begins(&cut, &written);
    assert_eq!(cut.rest == Rest::Nothing, cut.len == at);
    assert_ne!(cut.rest, Rest::Damaged);

    file[at] ^= 1 << (place[2] & 7);
    let damaged = read(&file);
    assert_begins(&damaged, &written);
    assert!(damaged.len <= at, "nothing is read from a damaged record on");
    assert_ne!(damaged.rest, Rest::Nothing);
}

/// Whatever the file is.
fn check_anything(data: &[u8]) {
    if let Beginning::Header { compacted } = beginning(data, KIND) {
        assert_eq!(data[..HEADER], header(KIND, compacted));
    }
    let found = read(data);
    assert!(found.len <= data.len());
    assert_eq!(found.len, found.records.iter().map(|record| record_len(record.len())).sum());
    assert!(found.records.iter().all(|record| record.len() <= MOST_RECORD));
    assert_eq!(found.rest == Rest::Nothing, found.len == data.len());
    let again = read(&data[..found.len]);
    assert_eq!((again.records, again.rest), (found.records.clone(), Rest::Nothing));
    let mut written = Vec::new();
    found.records.iter().for_each(|record| assert!(write_record(&mut written, record)));
    assert_eq!(written, data[..found.len]);
}

fn read(file: &[u8]) -> Records {
    records(&Bytes::copy_from_slice(file))
}

fn assert_begins(found: &Records, written: &[&[u8]]) {
    assert!(found.records.len() <= written.len());
    assert!(found.records.iter().zip(written).all(|(found, written)| found == written));
}
