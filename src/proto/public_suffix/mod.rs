//! Public suffixes: domains under which anybody may have a name, such as `com`, `co.uk` and `github.io`
//! (<https://publicsuffix.org/>). No cookie is for all of one, and what is beneath two different names in
//! one has nothing to do with each other.
//!
//! Knows the list as a table that is made from its text (`pack.rs` has the format); the one that comes
//! with the library was made by the command in `tests/public-suffixes`.

mod pack;
#[cfg(test)]
mod tests;

pub(crate) use pack::Nonsense;
use pack::{ENDS, EXCEPTION, FOLLOWS, LAST, NORMAL, SYMBOL, WILDCARD, symbol};
use std::borrow::Cow;

/// Made from the Public Suffix List, which is subject to the Mozilla Public License 2.0.
static BUILT_IN: &[u8] = include_bytes!("table.bin");

/// A list of public suffixes.
#[derive(Clone)]
pub(crate) struct PublicSuffixes(Cow<'static, [u8]>);

impl PublicSuffixes {
    /// The list that comes with the library.
    pub(crate) const fn built_in() -> Self {
        PublicSuffixes(Cow::Borrowed(BUILT_IN))
    }

    /// A list in the form it is published in.
    pub(crate) fn parse(list: &str) -> Result<Self, Nonsense> {
        pack::pack(list).map(|table| PublicSuffixes(Cow::Owned(table)))
    }

    /// Whether anybody may have a name under this one. A name of one label is a public suffix, if there is
    /// no rule about it. Names are those of URLs: internationalised labels in their ASCII form.
    pub(crate) fn is_public_suffix(&self, domain: &str) -> bool {
        let domain = without_root(domain);
        is_name(domain) && self.suffix(domain) == 0
    }

    /// The part of a name that somebody has registered: its public suffix, and one label more. `None` for
    /// a public suffix, and for what is no name.
    pub(crate) fn registrable_domain<'a>(&self, domain: &'a str) -> Option<&'a str> {
        let name = without_root(domain);
        let before = self.suffix(name).checked_sub(1).filter(|_| is_name(name))?;
        let start = name.get(..before)?.rfind('.').map_or(0, |dot| dot + 1);
        domain.get(start..)
    }

    /// Where in the name its public suffix begins.
    fn suffix(&self, name: &str) -> usize {
        // The rule that prevails if no other one does: `*`.
        let mut start = label_before(name, name.len());
        let mut node = 0;
        for (index, byte) in name.bytes().enumerate().rev() {
            let Some(next) = symbol(byte).and_then(|symbol| self.follow(node, symbol)) else { break };
            let rule = match next {
                Next::Node(next) => {
                    node = next;
                    self.ending(node)
                }
                Next::End => NORMAL,
            };
            if index == 0 || name.as_bytes().get(index - 1) == Some(&b'.') {
                if rule & EXCEPTION != 0 {
                    return name
                        .get(index..)
                        .and_then(|name| name.find('.'))
                        .map_or(start, |dot| index + dot + 1);
                }
                if rule & NORMAL != 0 {
                    start = start.min(index);
                }
                if rule & WILDCARD != 0 && index > 0 {
                    start = start.min(label_before(name, index - 1));
                }
            }
            if matches!(next, Next::End) {
                break;
            }
        }
        start
    }

    /// What rules end at a node.
    fn ending(&self, node: usize) -> u8 {
        let first = self.0.get(node).map_or(0, |byte| byte & SYMBOL);
        if first < ENDS { first } else { 0 }
    }

    /// Where a symbol leads to.
    fn follow(&self, node: usize, wanted: u8) -> Option<Next> {
        let mut at = node;
        let mut found = None;
        loop {
            let edge = *self.0.get(at)?;
            at += 1;
            let (symbol, last, follows) = (edge & SYMBOL, edge & LAST != 0, edge & FOLLOWS != 0);
            let mut distance = 0;
            if symbol >= ENDS && !follows {
                let mut shift = 0;
                loop {
                    let byte = *self.0.get(at)?;
                    at += 1;
                    distance |= usize::from(byte & 0x7f) << shift;
                    shift += 7;
                    if byte & 0x80 == 0 || shift > 21 {
                        break;
                    }
                }
            }
            if symbol == wanted {
                if follows && !last {
                    return Some(Next::End);
                }
                found = Some(distance);
            }
            if last {
                return found.map(|distance| Next::Node(at + distance));
            }
            // They are in order.
            if symbol > wanted && found.is_none() {
                return None;
            }
        }
    }
}

/// Where an edge leads to.
enum Next {
    Node(usize),
    /// A plain rule's end, behind which there is nothing.
    End,
}

/// The beginning of the label that ends there.
fn label_before(name: &str, end: usize) -> usize {
    name.get(..end).and_then(|before| before.rfind('.')).map_or(0, |dot| dot + 1)
}

/// A name may end in a dot, which says that nothing is to be added to it.
fn without_root(domain: &str) -> &str {
    domain.strip_suffix('.').unwrap_or(domain)
}

fn is_name(name: &str) -> bool {
    name.split('.').all(|label| !label.is_empty())
}
