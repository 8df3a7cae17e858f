use crate::proto::public_suffix::PublicSuffixes;

/// Whatever text is taken for a list, the table that is made of it says what its rules say.
pub fn public_suffix(data: &[u8]) {
    // Names, then an empty line, then the list.
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some((names, list)) = text.split_once("\n\n") else { return };
    let built_in = PublicSuffixes::built_in();
    for name in names.lines() {
        sound(&built_in, name);
    }
    let Ok(suffixes) = PublicSuffixes::parse(list) else { return };
    let words = list.trim_start_matches('\u{feff}').lines().filter_map(|line| line.split_whitespace().next());
    let rules: Vec<String> =
        words.filter(|word| !word.starts_with("//")).map(str::to_ascii_lowercase).collect();
    for name in names.lines() {
        sound(&suffixes, name);
        if list.is_ascii() && name.is_ascii() && !name.ends_with('.') && is_name(name) {
            assert_eq!(suffixes.registrable_domain(name), by_the_rules(&rules, name), "{name:?}");
        }
    }
}

fn sound(suffixes: &PublicSuffixes, name: &str) {
    let registrable = suffixes.registrable_domain(name);
    assert!(!(registrable.is_some() && suffixes.is_public_suffix(name)));
    if let Some(registrable) = registrable {
        assert!(name.ends_with(registrable));
        assert!(!suffixes.is_public_suffix(registrable));
        let (_, suffix) = registrable.split_once('.').expect("a label and a suffix");
        assert!(suffixes.is_public_suffix(suffix) || has_exception(suffixes, suffix), "{name:?}");
    }
}

/// A suffix by an exception need not be one where the exception is not.
fn has_exception(suffixes: &PublicSuffixes, suffix: &str) -> bool {
    suffixes.registrable_domain(suffix).is_some()
}

fn is_name(name: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    name.split('.').all(|label| !label.is_empty()) && name.bytes().all(known)
}

/// The algorithm of publicsuffix.org as it is written there.
fn by_the_rules<'a>(rules: &[String], name: &'a str) -> Option<&'a str> {
    let labels: Vec<&str> = name.split('.').collect();
    let matches = |rule: &str| {
        let rule: Vec<&str> = rule.split('.').collect();
        rule.len() <= labels.len()
            && rule
                .iter()
                .rev()
                .zip(labels.iter().rev())
                .all(|(rule, label)| rule.eq_ignore_ascii_case(label) || *rule == "*")
    };
    let exceptions = rules.iter().filter_map(|rule| rule.strip_prefix('!')).filter(|rule| matches(rule));
    let longest = match exceptions.map(|rule| rule.split('.').count()).min() {
        // Of an exception of one label nothing is left, and then it is as if there were none.
        Some(count) => (count - 1).max(1),
        None => {
            let plain = rules.iter().filter(|rule| !rule.starts_with('!') && matches(rule));
            plain.map(|rule| rule.split('.').count()).max().unwrap_or(1)
        }
    };
    let start = labels.len().checked_sub(longest + 1)?;
    Some(&name[labels[..start].iter().map(|label| label.len() + 1).sum()..])
}
