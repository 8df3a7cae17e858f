//! Dates as HTTP has them (RFC 9110, section 5.6.7): the one form that may be sent, IMF-fixdate, and the
//! obsolete ones, which have to be read. Knows no clock.

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
/// What the names of the days have behind their first three letters, in RFC 850's form.
const DAY_ENDS: [&str; 7] = ["day", "sday", "nesday", "rsday", "day", "urday", "day"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The seconds since 1970 that a date in one of the three forms is. `this_year` decides which century two
/// digits are of: none is more than 50 years ahead.
pub(crate) fn http_date(text: &[u8], this_year: i64) -> Option<i64> {
    imf_fixdate(text).or_else(|| {
        let text = std::str::from_utf8(text).ok()?;
        rfc850_date(text, this_year).or_else(|| asctime_date(text))
    })
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`.
fn rfc850_date(text: &str, this_year: i64) -> Option<i64> {
    let (day_name, rest) = text.split_once(", ")?;
    let known = |(day, end): (&&str, &&str)| day_name.strip_prefix(*day) == Some(*end);
    let mut words = rest.split(' ');
    let (date, time, zone) = (words.next()?, words.next()?, words.next()?);
    if !DAYS.iter().zip(&DAY_ENDS).any(known) || zone != "GMT" || words.next().is_some() {
        return None;
    }
    let mut parts = date.split('-');
    let (day, month, year) = (parts.next()?, parts.next()?, number(parts.next()?, 2)?);
    if parts.next().is_some() {
        return None;
    }
    let near = this_year - this_year.rem_euclid(100) + year;
    let year = if near > this_year + 50 { near - 100 } else { near };
    seconds(number(day, 2)?, month, year, time)
}

/// `Sun Nov  6 08:49:37 1994`.
fn asctime_date(text: &str) -> Option<i64> {
    let text = Some(text).filter(|text| text.len() == 24 && text.is_ascii())?;
    let (day_name, rest) = text.split_once(' ')?;
    let (month, rest) = rest.split_once(' ')?;
    let (day, rest) = rest.split_at_checked(2)?;
    let (time, year) = rest.strip_prefix(' ')?.split_once(' ')?;
    let day = match day.strip_prefix(' ') {
        Some(digit) => number(digit, 1)?,
        None => number(day, 2)?,
    };
    if !DAYS.contains(&day_name) {
        return None;
    }
    seconds(day, month, number(year, 4)?, time)
}

/// The seconds since 1970 that a date such as `Sun, 06 Nov 1994 08:49:37 GMT` is.
///
/// The obsolete forms are not read, and neither is a day that no month has. Whether the name of the
/// day is the right one is not looked at, since servers that write their own get it wrong.
pub(crate) fn imf_fixdate(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() == 29)?;
    let (day_name, rest) = text.split_once(", ")?;
    let mut words = rest.split(' ');
    let mut word = || words.next();
    let (day, month, year, time, zone) = (word()?, word()?, word()?, word()?, word()?);
    if !DAYS.contains(&day_name) || zone != "GMT" || word().is_some() {
        return None;
    }
    seconds(number(day, 2)?, month, number(year, 4)?, time)
}

fn seconds(day: i64, month: &str, year: i64, time: &str) -> Option<i64> {
    let month = 1 + i64::try_from(MONTHS.iter().position(|name| *name == month)?).ok()?;
    let mut parts = time.split(':');
    let mut part = || number(parts.next()?, 2);
    let (hour, minute, second) = (part()?, part()?, part()?);
    if parts.next().is_some() {
        return None;
    }
    seconds_of((year, month, day), (hour, minute, second))
}

/// The seconds since 1970 of a day (its year from 0 on, month from 1 on) and a time (hour, minute, second), if
/// there are such.
pub(crate) fn seconds_of(
    (year, month, day): (i64, i64, i64),
    (hour, minute, second): (i64, i64, i64),
) -> Option<i64> {
    let is_date = (0..=9_999).contains(&year) && (1..=12).contains(&month) && day >= 1;
    if !is_date || day > days_in(month, year) {
        return None;
    }
    // A leap second is 60.
    let is_time = (0..=23).contains(&hour) && (0..=59).contains(&minute) && (0..=60).contains(&second);
    is_time.then(|| days_since_1970(day, month, year) * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// The date of a number of seconds since 1970: `Sun, 06 Nov 1994 08:49:37 GMT`. `None` after the year
/// 9999.
pub(crate) fn to_imf_fixdate(seconds: u64) -> Option<String> {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // The first of them was a Thursday.
    let day_name = DAYS.get(usize::try_from((days + 3) % 7).ok()?)?;
    let (day, month, year) = date_of(days);
    let month = MONTHS.get(usize::try_from(month).ok()?)?;
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    (year <= 9_999)
        .then(|| format!("{day_name}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT"))
}

/// Day, month from 0 on, and year of a number of days since 1970.
pub(crate) fn date_of(days: u64) -> (u64, u64, u64) {
    // Counted from 1 March of the year 0: then the day that may be missing is the last of a year, and all
    // spans of 400 years have as many days.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Five months from March on always have 153 days.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = (month + 2) % 12;
    (day, month, era * 400 + year_of_era + u64::from(month < 2))
}

fn number(text: &str, digits: usize) -> Option<i64> {
    let is_number = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

pub(crate) fn days_in(month: i64, year: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// In the calendar of today, for any year from 0 on.
pub(crate) fn days_since_1970(day: i64, month: i64, year: i64) -> i64 {
    // The days of the years before this one, counted from the year 0, which was a leap year.
    let years =
        if year == 0 { 0 } else { year * 365 + 1 + (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400 };
    let months: i64 = (1..month).map(|month| days_in(month, year)).sum();
    years + months + day - 1 - 719_528
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for (seconds, date) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(to_imf_fixdate(seconds).as_deref(), Some(date));
            assert_eq!(imf_fixdate(date.as_bytes()), i64::try_from(seconds).ok());
        }
        for day in (0..2_900_000).step_by(17) {
            let date = to_imf_fixdate(day * 86_400 + 1).expect("a date");
            assert_eq!(imf_fixdate(date.as_bytes()), i64::try_from(day * 86_400 + 1).ok());
        }
        assert_eq!(to_imf_fixdate(253_402_300_800), None);
        assert_eq!(to_imf_fixdate(u64::MAX), None);
    }

    #[test]
    fn seconds_since_1970() {
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Wed, 31 Dec 1969 23:59:59 GMT", -1),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Tue, 29 Feb 2000 12:00:00 GMT", 951_825_600),
            ("Fri, 01 Jan 2100 00:00:00 GMT", 4_102_444_800),
            ("Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_800),
            ("Sat, 01 Jan 0000 00:00:00 GMT", -62_167_219_200),
            ("Mon, 01 Jan 0001 00:00:00 GMT", -62_135_596_800),
        ] {
            assert_eq!(imf_fixdate(text.as_bytes()), Some(seconds), "{text}");
        }
    }

    #[test]
    fn obsolete_forms_are_read() {
        for (text, seconds) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
            ("Wednesday, 01-Jan-75 00:00:00 GMT", 3_313_526_400),
            ("Tuesday, 01-Jan-76 00:00:00 GMT", 189_302_400),
            ("Sun Nov  6 08:49:37 1994", 784_111_777),
            ("Wed Nov 16 08:49:37 1994", 784_975_777),
        ] {
            assert_eq!(http_date(text.as_bytes(), 2025), Some(seconds), "{text}");
        }
        for text in [
            "",
            "Sun, 06-Nov-94 08:49:37 GMT",
            "Sunday, 06-Nov-1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 UTC",
            "Sunday, 06-Nov-94 08:49:37 GMT ",
            "Sunday, 31-Feb-94 08:49:37 GMT",
            "Sun Nov 6 08:49:37 1994",
            "Sun Nov 06 8:49:37 1994",
            "Sun Nov  6 08:49:37 94",
            "Sun Nov \u{e4}6 08:49:37 199",
            "0",
        ] {
            assert_eq!(http_date(text.as_bytes(), 2025), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_such_date() {
        for text in [
            "",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 GMT ",
            "Sun, 32 Oct 1994 08:49:37 GMT",
            "Sun, 00 Oct 1994 08:49:37 GMT",
            "Mon, 29 Feb 2100 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:4937: GMT",
            "Sun, 06 N\u{f6}v 1994 8:49:37 GMT",
        ] {
            assert_eq!(imf_fixdate(text.as_bytes()), None, "{text}");
        }
    }
}
