//! Keys that servers have to have.

use super::Configuration;
use crate::error::Result;
use crate::trust::pins::PinnedKeys;

impl Configuration {
    /// Says which public keys the servers of a domain have to have: one of these, in their own certificate or
    /// in that of an authority that has issued it. `NSPinnedDomains`.
    ///
    /// `domain` is a host's name or address; with `include_subdomains` it holds for what is below a name,
    /// too. `*` is any host. Of several domains that fit a host the longest holds. Keys that are given for
    /// the same domain later are added. They are written as `sha256/BASE64`, see [`PinnedKeys`]; name at
    /// least two, one of which is kept in reserve, or a server that has to change its key is out of reach.
    ///
    /// The keys are checked on every new connection, besides everything else: a pinned key makes nothing
    /// good that is wrong with a certificate. Neither does a delegate nor
    /// [`danger_accept_invalid_certificates`](Configuration::danger_accept_invalid_certificates) make good
    /// that it is missing: that is
    /// [`ServerCertificateUntrusted`](crate::ErrorKind::ServerCertificateUntrusted), and the message has the
    /// keys that the server showed.
    ///
    /// What is malformed is an error of the configuration ([`check`](Configuration::check)).
    ///
    /// ```
    /// use urlsession::Configuration;
    ///
    /// let configuration = Configuration::default().pin_public_keys(
    ///     "example.com",
    ///     true,
    ///     ["sha256/YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg=", "sha256/Vjs8r4z+80wjNcr1YKepWQboSIRi63WsWXhIMN+eWys="],
    /// );
    /// assert!(configuration.check().is_ok());
    ///
    /// let malformed = Configuration::default().pin_public_keys("example.com", true, ["sha256/oops"]);
    /// assert!(malformed.check().is_err());
    /// ```
    pub fn pin_public_keys<S: AsRef<str>>(
        self,
        domain: impl AsRef<str>,
        include_subdomains: bool,
        pins: impl IntoIterator<Item = S>,
    ) -> Self {
        self.attempt(|configuration| {
            let each = pins.into_iter().map(|pin| pin.as_ref().parse::<PinnedKeys>());
            let all = each.collect::<Result<Vec<_>>>()?;
            let keys = PinnedKeys::from_sha256(all.iter().flat_map(PinnedKeys::sha256).copied());
            configuration.tls.pins.add(domain.as_ref(), include_subdomains, keys)
        })
    }

    /// The keys that a host has to have, if any are pinned for it.
    pub fn get_pinned_public_keys(&self, host: impl AsRef<str>) -> Option<&PinnedKeys> {
        self.tls.pins.of(host.as_ref()).map(|pinned| &pinned.keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "sha256/YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg=";
    const B: &str = "sha256//Vjs8r4z+80wjNcr1YKepWQboSIRi63WsWXhIMN+eWys=";

    #[test]
    fn pins_are_looked_up_and_checked() {
        let configuration = Configuration::default()
            .pin_public_keys("example.com", false, [A])
            .pin_public_keys("example.com", false, [format!("{A};{B}")]);
        assert!(configuration.check().is_ok());
        let found = configuration.get_pinned_public_keys("EXAMPLE.com").map(|keys| keys.sha256().len());
        assert_eq!(found, Some(2));
        assert_eq!(configuration.get_pinned_public_keys("www.example.com"), None);
        for (domain, pins) in [("example.com", &["sha256/x"][..]), ("a b", &[A]), ("example.com", &[])] {
            let error = Configuration::default().pin_public_keys(domain, true, pins).check();
            assert!(error.expect_err(domain).to_string().contains("pinned public keys"));
        }
    }
}
