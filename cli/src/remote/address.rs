//! Addresses of controllers, as people and leaders write them.

use std::fmt;

use tonic::transport::Uri;

/// Port of an address that names none.
const PORT: u16 = 7420;

/// Where a controller is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// `host:port`.
    authority: String,
    /// Whether it is reached by TLS, where the address says so.
    tls: Option<bool>,
}

impl Address {
    /// Reads `host`, `host:port`, or either behind `http://` or `https://`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim().trim_end_matches('/');
        let (tls, rest) = match text.split_once("://") {
            None => (None, text),
            Some(("http", rest)) => (Some(false), rest),
            Some(("https", rest)) => (Some(true), rest),
            Some((scheme, _)) => return Err(format!("`{scheme}` is no scheme of a controller")),
        };
        let malformed = || "is no address like host:7420".to_owned();
        if rest.is_empty() || rest.contains(['/', '@', '?', '#']) {
            return Err(malformed());
        }
        let uri: Uri = format!("http://{rest}").parse().map_err(|_| malformed())?;
        let host = uri
            .host()
            .filter(|host| !host.is_empty())
            .ok_or_else(malformed)?;
        let port = match uri.port_u16() {
            Some(port) => port,
            // `host:` or `host:99999`
            None if !rest.ends_with(host) => return Err(malformed()),
            None => PORT,
        };
        Ok(Self {
            authority: format!("{host}:{port}"),
            tls,
        })
    }

    /// Reads every address of a list.
    pub fn list<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Vec<Self>, String> {
        let mut all: Vec<Self> = Vec::new();
        for text in texts.into_iter().filter(|text| !text.trim().is_empty()) {
            let address = Self::parse(text).map_err(|why| format!("`{text}`: {why}"))?;
            if !all.contains(&address) {
                all.push(address);
            }
        }
        match all.is_empty() {
            true => Err("names no address".to_owned()),
            false => Ok(all),
        }
    }

    /// `host:port`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Whether it is reached by TLS, where the address says so.
    pub fn tls(&self) -> Option<bool> {
        self.tls
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_may_have_port_and_scheme() {
        for (text, authority, tls) in [
            ("127.0.0.1:7420", "127.0.0.1:7420", None),
            ("controller", "controller:7420", None),
            (" eu.example.com:80 ", "eu.example.com:80", None),
            ("[::1]", "[::1]:7420", None),
            ("[::1]:9", "[::1]:9", None),
            ("http://a:1/", "a:1", Some(false)),
            ("https://a", "a:7420", Some(true)),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(
                (address.authority(), address.tls()),
                (authority, tls),
                "{text}"
            );
        }
        for text in [
            "", "a:", "a:99999", "a:b", "ftp://a", "me@a:1", "a/b", "a b", "https://",
        ] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_list_has_each_address_once_and_at_least_one() {
        let list = Address::list(["a", "b:1", "", "a:7420"]).unwrap();
        let names: Vec<String> = list.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["a:7420", "b:1"]);
        assert!(Address::list(["", " "]).is_err());
        assert_eq!(
            Address::list(["a", "b:x"]).unwrap_err(),
            "`b:x`: is no address like host:7420"
        );
    }
}
