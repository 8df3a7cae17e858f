//! From the text of the list to its table: an automaton in as few bytes as may be.
//!
//! The rules are written backwards (`ku.oc` for `co.uk`), so that what they end with is the way from the
//! root that they share; what they begin with they share, too, since nodes that lead to the same are one.
//! A node is its edges, one after the other, and an edge is
//!
//! | bits of a byte | |
//! |---|---|
//! | 7 | it is the node's last edge |
//! | 6 | of a last edge: its target is the node behind this one. Of another: its target is a plain rule's end |
//! | 5-0 | below 8: here a rule ends, and what rule (`NORMAL`, `WILDCARD`, `EXCEPTION`). Else a symbol |
//!
//! and, unless bit 6 is set or a rule ends, how far behind the end of the node the target is: seven bits a
//! byte, the least first, all but the last with bit 7 set.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

/// The rule is the name itself.
pub(super) const NORMAL: u8 = 1;
/// The rule is any label before the name.
pub(super) const WILDCARD: u8 = 2;
/// The name is no public suffix, whatever a wildcard says.
pub(super) const EXCEPTION: u8 = 4;

pub(super) const LAST: u8 = 0x80;
pub(super) const FOLLOWS: u8 = 0x40;
pub(super) const SYMBOL: u8 = 0x3f;
pub(super) const ENDS: u8 = 8;

/// The list has some 340 kB and 10,000 rules.
const LONGEST_LIST: usize = 4 * 1024 * 1024;
const MOST_RULES: usize = 100_000;
const LONGEST_NAME: usize = 253;

/// Why a text is no list of public suffixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nonsense {
    /// It has more bytes or rules than any list.
    TooLong,
    /// There is no rule in it.
    Empty,
    /// The line of that number, counted from 1, is no rule.
    Line(usize),
}

/// The number of a character in the table; `None` for one that no host name has.
pub(super) fn symbol(byte: u8) -> Option<u8> {
    let number = match byte.to_ascii_lowercase() {
        letter @ b'a'..=b'z' => letter - b'a',
        digit @ b'0'..=b'9' => 26 + digit - b'0',
        b'-' => 36,
        b'.' => 37,
        b'_' => 38,
        _ => return None,
    };
    Some(ENDS + number)
}

/// The table of a list (<https://publicsuffix.org/list/>): a rule a line, up to the first white space;
/// what begins with `//` is a comment.
pub(crate) fn pack(list: &str) -> Result<Vec<u8>, Nonsense> {
    if list.len() > LONGEST_LIST {
        return Err(Nonsense::TooLong);
    }
    let mut rules: BTreeMap<Vec<u8>, u8> = BTreeMap::new();
    for (index, line) in list.trim_start_matches('\u{feff}').lines().enumerate() {
        let Some(rule) = line.split_whitespace().next().filter(|rule| !rule.starts_with("//")) else {
            continue;
        };
        let (name, kind) = match (rule.strip_prefix('!'), rule.strip_prefix("*.")) {
            (Some(name), _) => (name, EXCEPTION),
            (None, Some(name)) => (name, WILDCARD),
            // It holds for every name that no rule is about.
            (None, None) if rule == "*" => continue,
            (None, None) => (rule, NORMAL),
        };
        // Without the tables of Unicode, which a build can do without, no URL has such a name either.
        let Some(ascii) = to_ascii(name) else { continue };
        *rules.entry(backwards(&ascii).ok_or(Nonsense::Line(index + 1))?).or_default() |= kind;
        if rules.len() > MOST_RULES {
            return Err(Nonsense::TooLong);
        }
    }
    if rules.is_empty() {
        return Err(Nonsense::Empty);
    }
    let rules: Vec<(Vec<u8>, u8)> = rules.into_iter().collect();
    let mut automaton = Automaton::default();
    let root = automaton.add(&rules, 0);
    Ok(automaton.lay_out(root))
}

/// A name as URLs have it; `None` for one that they cannot have.
fn to_ascii(name: &str) -> Option<Cow<'_, str>> {
    if name.is_ascii() {
        return Some(Cow::Borrowed(name));
    }
    Some(url::quirks::domain_to_ascii(name)).filter(|ascii| !ascii.is_empty()).map(Cow::Owned)
}

/// The symbols of a name, the last one first.
fn backwards(ascii: &str) -> Option<Vec<u8>> {
    let labels = ascii.split('.');
    let sound = !ascii.is_empty() && ascii.len() <= LONGEST_NAME;
    if !sound || labels.into_iter().any(|label| label.is_empty() || label.len() > 63) {
        return None;
    }
    ascii.bytes().rev().map(symbol).collect()
}

/// Where a rule may end, and the edges, by their symbols.
type Node = (u8, Vec<(u8, usize)>);

#[derive(Default)]
struct Automaton {
    nodes: Vec<Node>,
    known: HashMap<Node, usize>,
}

impl Automaton {
    /// The node that these rules lead to after so many symbols, which they have in common.
    fn add(&mut self, rules: &[(Vec<u8>, u8)], depth: usize) -> usize {
        let mut node: Node = (0, Vec::new());
        let mut rest = rules;
        while let Some((first, kind)) = rest.first() {
            let Some(&symbol) = first.get(depth) else {
                node.0 |= kind;
                rest = rest.get(1..).unwrap_or_default();
                continue;
            };
            let same = rest.partition_point(|(rule, _)| rule.get(depth) <= Some(&symbol));
            let (these, others) = rest.split_at(same);
            node.1.push((symbol, self.add(these, depth + 1)));
            rest = others;
        }
        if let Some(&known) = self.known.get(&node) {
            return known;
        }
        self.nodes.push(node.clone());
        self.known.insert(node, self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    /// The table, whose first node is the root.
    fn lay_out(&self, root: usize) -> Vec<u8> {
        let mut out = Layout { automaton: self, backwards: Vec::new(), starts: vec![None; self.nodes.len()] };
        out.node(root);
        out.backwards.reverse();
        out.backwards
    }
}

/// Written from the end, so that it is known where the targets are.
struct Layout<'a> {
    automaton: &'a Automaton,
    backwards: Vec<u8>,
    /// How far from the end of the table each node begins, once it is written.
    starts: Vec<Option<usize>>,
}

impl Layout<'_> {
    fn node(&mut self, index: usize) {
        let Some((kind, edges)) = self.automaton.nodes.get(index) else { return };
        for &(_, target) in edges {
            if !self.is_plain(target) && self.start(target).is_none() {
                self.node(target);
            }
        }
        // The end of a plain rule is a byte, less than it takes to say where one is.
        if let Some(&(_, target)) = edges.last().filter(|(_, target)| self.is_plain(*target)) {
            self.backwards.push(NORMAL | LAST);
            self.set_start(target);
        }
        let end = self.backwards.len();
        let mut bytes = Vec::new();
        if *kind != 0 {
            bytes.push(kind | if edges.is_empty() { LAST } else { 0 });
        }
        for (number, &(symbol, target)) in edges.iter().enumerate() {
            let last = number + 1 == edges.len();
            let distance = end - self.start(target).unwrap_or(end);
            match (last, self.is_plain(target)) {
                (true, _) if distance == 0 => bytes.push(symbol | LAST | FOLLOWS),
                (false, true) => bytes.push(symbol | FOLLOWS),
                (last, _) => {
                    bytes.push(symbol | if last { LAST } else { 0 });
                    push_number(&mut bytes, distance);
                }
            }
        }
        self.backwards.extend(bytes.iter().rev());
        self.set_start(index);
    }

    fn is_plain(&self, index: usize) -> bool {
        self.automaton.nodes.get(index).is_some_and(|(kind, edges)| *kind == NORMAL && edges.is_empty())
    }

    fn start(&self, index: usize) -> Option<usize> {
        self.starts.get(index).copied().flatten()
    }

    fn set_start(&mut self, index: usize) {
        if let Some(start) = self.starts.get_mut(index) {
            *start = Some(self.backwards.len());
        }
    }
}

fn push_number(bytes: &mut Vec<u8>, mut number: usize) {
    loop {
        // Masked, so it fits.
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            return bytes.push(low);
        }
        bytes.push(low | 0x80);
    }
}
