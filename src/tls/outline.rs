//! A look at a certificate for what messages and pins need: who issued it, to whom, when it is valid,
//! and its key (RFC 5280 §4.1). It proves nothing; signatures are the verifier's business.

use rustls::pki_types::{CertificateDer, UnixTime};
use std::time::Duration;

/// How many characters of a name a message shows.
const NAME_LENGTH: usize = 64;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const OBJECT_IDENTIFIER: u8 = 0x06;
const BMP_STRING: u8 = 0x1e;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const EXPLICIT_VERSION: u8 = 0xa0;
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANIZATION_NAME: &[u8] = &[0x55, 0x04, 0x0a];

/// The fields of a certificate that are looked at.
#[derive(Debug)]
pub(crate) struct Outline<'a> {
    issuer: &'a [u8],
    subject: &'a [u8],
    pub(crate) not_before: UnixTime,
    pub(crate) not_after: UnixTime,
    public_key: &'a [u8],
}

impl<'a> Outline<'a> {
    /// The outline of a certificate in DER, unless it is malformed.
    pub(crate) fn of(certificate: &'a CertificateDer<'_>) -> Option<Self> {
        let mut input: &[u8] = certificate;
        let mut certificate = expect(&mut input, SEQUENCE)?;
        let mut fields = expect(&mut certificate, SEQUENCE)?;
        if fields.first() == Some(&EXPLICIT_VERSION) {
            element(&mut fields)?;
        }
        expect(&mut fields, INTEGER)?;
        expect(&mut fields, SEQUENCE)?;
        let issuer = expect(&mut fields, SEQUENCE)?;
        let mut validity = expect(&mut fields, SEQUENCE)?;
        let not_before = time(&mut validity)?;
        let not_after = time(&mut validity)?;
        let subject = expect(&mut fields, SEQUENCE)?;
        let rest = fields;
        expect(&mut fields, SEQUENCE)?;
        let public_key = rest.get(..rest.len() - fields.len())?;
        Some(Outline { issuer, subject, not_before, not_after, public_key })
    }

    /// The key with its algorithm, as the DER of `SubjectPublicKeyInfo`.
    pub(crate) fn public_key(&self) -> &'a [u8] {
        self.public_key
    }

    /// Whether the certificate names itself as its issuer.
    pub(crate) fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }

    /// The issuer's common name, or its organization, fit for a message.
    pub(crate) fn issuer(&self) -> Option<String> {
        display_name(self.issuer)
    }

    /// The subject's common name, or its organization, fit for a message.
    pub(crate) fn subject(&self) -> Option<String> {
        display_name(self.subject)
    }
}

/// Text of a peer's certificate, made fit for a message: no control characters, not too long.
pub(crate) fn printable(text: &str) -> String {
    let mut printable: String =
        text.chars().take(NAME_LENGTH).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(NAME_LENGTH).is_some() {
        printable.push('…');
    }
    printable
}

/// The DER of a sequence with that content.
pub(crate) fn sequence(content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let digits = length.iter().position(|digit| *digit != 0).and_then(|at| length.get(at..));
    let digits = digits.unwrap_or_default();
    let mut der = vec![SEQUENCE];
    match digits {
        [] => der.push(0),
        [short @ 0..=0x7f] => der.push(*short),
        long => {
            der.push(0x80 | long.len() as u8);
            der.extend_from_slice(long);
        }
    }
    der.extend_from_slice(content);
    der
}

/// The time of a date and time of day in UTC, unless it is before 1970.
fn unix_time(year: u64, month: u64, day: u64, second_of_day: u64) -> Option<UnixTime> {
    // Years begin in March here, so that a leap day is the last day of its year.
    let shifted = if month > 2 { year } else { year.checked_sub(1)? };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day.checked_sub(1)?;
    let days = shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + day_of_year;
    let since_1970 = days.checked_sub(719_468)?;
    Some(UnixTime::since_unix_epoch(Duration::from_secs(since_1970 * 86_400 + second_of_day)))
}

/// Takes a DER element of low tag number and definite length from the front: tag and content.
fn element<'a>(input: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&tag, rest) = input.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let length = match first {
        0..=0x7f => usize::from(first),
        0x81..=0x83 => {
            let (bytes, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
            rest = after;
            bytes.iter().fold(0, |length, &byte| length << 8 | usize::from(byte))
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    *input = rest;
    Some((tag, content))
}

fn expect<'a>(input: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    element(input).filter(|&(found, _)| found == tag).map(|(_, content)| content)
}

/// UTCTime or GeneralizedTime, to the second and in UTC (RFC 5280 §4.1.2.5). What lies before 1970
/// counts as 1970.
fn time(input: &mut &[u8]) -> Option<UnixTime> {
    let (tag, text) = element(input)?;
    let text = text.strip_suffix(b"Z").filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    let number = |digits: &[u8]| digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit & 0x0f));
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year = number(year);
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (number(year), rest)
        }
        _ => return None,
    };
    let mut pairs = rest.chunks_exact(2).map(number);
    let (month, day) = (pairs.next()?, pairs.next()?);
    let (hour, minute, second) = (pairs.next()?, pairs.next()?, pairs.next()?);
    let valid = rest.len() == 10
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !valid {
        return None;
    }
    let epoch = UnixTime::since_unix_epoch(Duration::ZERO);
    Some(unix_time(year, month, day, hour * 3600 + minute * 60 + second).unwrap_or(epoch))
}

/// The common name in a distinguished name, else its organization.
fn display_name(name: &[u8]) -> Option<String> {
    attribute(name, COMMON_NAME).or_else(|| attribute(name, ORGANIZATION_NAME))
}

fn attribute(mut name: &[u8], wanted: &[u8]) -> Option<String> {
    while let Some(mut set) = expect(&mut name, SET) {
        while let Some(mut pair) = expect(&mut set, SEQUENCE) {
            if expect(&mut pair, OBJECT_IDENTIFIER) == Some(wanted) {
                let (tag, value) = element(&mut pair)?;
                return Some(text(tag, value)).filter(|text| !text.is_empty());
            }
        }
    }
    None
}

fn text(tag: u8, value: &[u8]) -> String {
    if tag == BMP_STRING {
        let units: Vec<u16> = value
            .chunks_exact(2)
            .map(|pair| pair.iter().fold(0, |unit, &byte| unit << 8 | u16::from(byte)))
            .collect();
        printable(&String::from_utf16_lossy(&units))
    } else {
        printable(&String::from_utf8_lossy(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

    fn certificate(change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(["a.example".to_owned()]).expect("a name");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        params.self_signed(&key).expect("a certificate").der().clone()
    }

    #[test]
    fn the_outline_of_a_certificate() {
        let der = certificate(|params| {
            params.distinguished_name.push(DnType::CommonName, "Alice\n\u{1b}[31m");
            params.not_before = date_time_ymd(2024, 2, 29);
            params.not_after = date_time_ymd(2060, 12, 31);
        });
        let outline = Outline::of(&der).expect("an outline");
        assert!(outline.is_self_issued());
        assert_eq!(outline.subject().as_deref(), Some("Alice\u{fffd}\u{fffd}[31m"));
        assert_eq!(outline.not_before.as_secs(), 1_709_164_800);
        assert_eq!(outline.not_after.as_secs(), 2_871_676_800);
    }

    #[test]
    fn malformed_certificates_have_no_outline_and_do_no_harm() {
        let der = certificate(|_| ());
        let whole = Outline::of(&der).is_some();
        assert!(whole);
        for length in 0..der.len() {
            assert!(Outline::of(&CertificateDer::from(&der[..length])).is_none());
        }
        let mut changed = der.to_vec();
        for index in 0..changed.len() {
            for value in [0, 0x30, 0x7f, 0x80, 0x84, 0xff] {
                let before = std::mem::replace(&mut changed[index], value);
                if let Some(outline) = Outline::of(&CertificateDer::from(changed.as_slice())) {
                    let _ = (outline.issuer(), outline.subject(), outline.public_key());
                }
                changed[index] = before;
            }
        }
    }

    #[test]
    fn the_key_is_that_of_the_certificate() {
        use rcgen::PublicKeyData;
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(["a.example".to_owned()]).expect("a name");
        let der = params.self_signed(&key).expect("a certificate").der().clone();
        let outline = Outline::of(&der).expect("an outline");
        assert_eq!(outline.public_key(), key.subject_public_key_info());
    }

    #[test]
    fn sequences_of_any_length() {
        assert_eq!(sequence(&[]), [0x30, 0]);
        assert_eq!(sequence(&[5; 0x7f])[..3], [0x30, 0x7f, 5]);
        assert_eq!(sequence(&[5; 0x80])[..4], [0x30, 0x81, 0x80, 5]);
        assert_eq!(sequence(&[5; 0x1234])[..5], [0x30, 0x82, 0x12, 0x34, 5]);
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!(printable(&"x".repeat(64)), "x".repeat(64));
        assert_eq!(printable(&"x".repeat(65)), format!("{}…", "x".repeat(64)));
    }
}
