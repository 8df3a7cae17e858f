use super::*;

fn registrable(domain: &str) -> Option<String> {
    PublicSuffixes::built_in().registrable_domain(domain).map(str::to_owned)
}

/// The facts that the list's own tests state, by kind of rule.
#[test]
fn what_the_list_says_of_well_known_names() {
    for (domain, expected) in [
        // In whatever case.
        ("COM", None),
        ("example.COM", Some("example.COM")),
        ("WwW.example.COM", Some("example.COM")),
        // No names.
        ("", None),
        (".com", None),
        (".example.com", None),
        ("a..com", None),
        // No rule: the last label.
        ("example", None),
        ("example.example", Some("example.example")),
        ("a.b.example.example", Some("example.example")),
        // One rule.
        ("biz", None),
        ("domain.biz", Some("domain.biz")),
        ("a.b.domain.biz", Some("domain.biz")),
        // Rules of two labels.
        ("com", None),
        ("a.b.example.com", Some("example.com")),
        ("uk.com", None),
        ("b.example.uk.com", Some("example.uk.com")),
        ("test.ac", Some("test.ac")),
        // A wildcard and nothing else.
        ("mm", None),
        ("c.mm", None),
        ("b.c.mm", Some("b.c.mm")),
        ("a.b.c.mm", Some("b.c.mm")),
        // All of it.
        ("jp", None),
        ("www.test.jp", Some("test.jp")),
        ("ac.jp", None),
        ("www.test.ac.jp", Some("test.ac.jp")),
        ("kyoto.jp", None),
        ("test.kyoto.jp", Some("test.kyoto.jp")),
        ("ide.kyoto.jp", None),
        ("a.b.ide.kyoto.jp", Some("b.ide.kyoto.jp")),
        ("kobe.jp", Some("kobe.jp")),
        ("c.kobe.jp", None),
        ("a.b.c.kobe.jp", Some("b.c.kobe.jp")),
        ("city.kobe.jp", Some("city.kobe.jp")),
        ("www.city.kobe.jp", Some("city.kobe.jp")),
        ("ck", None),
        ("test.ck", None),
        ("a.b.test.ck", Some("b.test.ck")),
        ("www.ck", Some("www.ck")),
        ("www.www.ck", Some("www.ck")),
        ("k12.ak.us", None),
        ("www.test.k12.ak.us", Some("test.k12.ak.us")),
        // Internationalised.
        ("www.xn--85x722f.com.cn", Some("xn--85x722f.com.cn")),
        ("www.xn--85x722f.xn--55qx5d.cn", Some("xn--85x722f.xn--55qx5d.cn")),
        ("xn--55qx5d.cn", None),
        ("shishi.xn--fiqs8s", Some("shishi.xn--fiqs8s")),
        ("xn--fiqs8s", None),
        // Of companies.
        ("github.io", None),
        ("somebody.github.io", Some("somebody.github.io")),
        ("a.somebody.github.io", Some("somebody.github.io")),
        ("githubxio.com", Some("githubxio.com")),
        ("xgithub.io", Some("xgithub.io")),
    ] {
        assert_eq!(registrable(domain).as_deref(), expected, "{domain:?}");
        let is_name = !domain.is_empty() && !domain.starts_with('.') && !domain.contains("..");
        let suffix = PublicSuffixes::built_in().is_public_suffix(domain);
        assert_eq!(suffix, is_name && expected.is_none(), "{domain:?}");
    }
}

#[test]
fn a_dot_at_the_end_changes_nothing() {
    let list = PublicSuffixes::built_in();
    assert!(list.is_public_suffix("co.uk."));
    assert!(!list.is_public_suffix("example.co.uk."));
    assert_eq!(list.registrable_domain("a.example.co.uk."), Some("example.co.uk."));
}

#[test]
fn a_list_is_read_as_it_is_written() {
    let list = "\u{feff}// a comment\n\n  one  and more\nTwo.One\r\n*.two.one\n!not.two.one\n*\n\
                *.both\nboth\n公司.cn\n_x.one\n";
    let list = PublicSuffixes::parse(list).expect("a list");
    for (domain, expected) in [
        ("one", None),
        ("a.one", Some("a.one")),
        ("two.one", None),
        ("x.two.one", None),
        ("a.x.two.one", Some("a.x.two.one")),
        ("b.a.x.two.one", Some("a.x.two.one")),
        ("not.two.one", Some("not.two.one")),
        ("a.not.two.one", Some("not.two.one")),
        ("xtwo.one", Some("xtwo.one")),
        ("both", None),
        ("a.both", None),
        ("b.a.both", Some("b.a.both")),
        ("a.xn--55qx5d.cn", Some("a.xn--55qx5d.cn")),
        ("_x.one", None),
        ("com", None),
        ("co.uk", Some("co.uk")),
    ] {
        assert_eq!(list.registrable_domain(domain), expected, "{domain:?}");
    }
}

#[test]
fn what_is_no_list() {
    for (text, nonsense) in [
        ("", Nonsense::Empty),
        ("// nothing\n*\n", Nonsense::Empty),
        ("com\n<html>\n", Nonsense::Line(2)),
        ("com\na..b", Nonsense::Line(2)),
        ("a.*.b", Nonsense::Line(1)),
        ("!", Nonsense::Line(1)),
        ("*.", Nonsense::Line(1)),
        (".com", Nonsense::Line(1)),
        ("xn--a\u{ffff}", Nonsense::Empty),
    ] {
        assert_eq!(PublicSuffixes::parse(text).err(), Some(nonsense), "{text:?}");
    }
    assert_eq!(PublicSuffixes::parse(&"a".repeat(254)).err(), Some(Nonsense::Line(1)));
    assert_eq!(PublicSuffixes::parse(&"\n".repeat(5_000_000)).err(), Some(Nonsense::TooLong));
    let many: String = (0..100_001).map(|number| format!("a{number}\n")).collect();
    assert_eq!(PublicSuffixes::parse(&many).err(), Some(Nonsense::TooLong));
}

/// Of any list, the table says what the rules say that it is made of.
#[test]
fn a_table_says_what_its_list_says() {
    let mut state = 1_u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for _ in 0..300 {
        let mut name = |labels: u64| {
            let mut label = || ["a", "b", "ab", "ba", "x-1"][random(5) as usize];
            (0..labels).map(|_| label()).collect::<Vec<_>>().join(".")
        };
        let mut rules: Vec<String> = (0..12)
            .map(|number| match number % 4 {
                0 => format!("*.{}", name(1 + number % 3)),
                1 => format!("!{}", name(2 + number % 3)),
                _ => name(1 + number % 4),
            })
            .collect();
        rules.push("a".into());
        let list = PublicSuffixes::parse(&rules.join("\n")).expect("a list");
        for labels in 1..5 {
            for _ in 0..20 {
                let name = name(labels);
                let expected = by_the_rules(&rules, &name);
                assert_eq!(list.registrable_domain(&name), expected, "{name} by {rules:?}");
            }
        }
    }
}

/// The algorithm of publicsuffix.org as it is written there.
fn by_the_rules<'a>(rules: &[String], name: &'a str) -> Option<&'a str> {
    let labels: Vec<&str> = name.split('.').collect();
    let matches = |rule: &str| {
        let rule: Vec<&str> = rule.split('.').collect();
        rule.len() <= labels.len()
            && rule.iter().rev().zip(labels.iter().rev()).all(|(rule, label)| rule == label || *rule == "*")
    };
    let exception = rules.iter().filter_map(|rule| rule.strip_prefix('!')).filter(|rule| matches(rule));
    let longest = match exception.map(|rule| rule.split('.').count()).min() {
        Some(count) => count - 1,
        None => {
            let plain = rules.iter().filter(|rule| !rule.starts_with('!') && matches(rule));
            plain.map(|rule| rule.split('.').count()).max().unwrap_or(1)
        }
    };
    let start = labels.len().checked_sub(longest + 1)?;
    Some(&name[labels[..start].iter().map(|label| label.len() + 1).sum()..])
}
