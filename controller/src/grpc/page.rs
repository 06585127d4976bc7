//! Pages of lists: sizes, and opaque tokens that are bound to what was asked.

use proto::wire::status as wire_status;
use proto::wire::status::Reason;
use sha2::{Digest, Sha256};
use tonic::Status;

const DEFAULT: i32 = 100;
const MAX: i32 = 1000;
/// Bytes of the hash that binds a token to its list.
const BOUND: usize = 8;

/// A page that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Items on it, at most.
    pub size: i64,
    /// Where the page before ended; none for the first.
    pub after: Option<String>,
    list: String,
}

impl Page {
    /// Reads size and token of a request; `list` names the list and everything that selects its items.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for a negative size, or a token of another list (`PAGE_TOKEN_MISMATCH`).
    pub fn read(size: i32, token: &str, list: impl Into<String>) -> Result<Self, Status> {
        let size = match size {
            0 => DEFAULT,
            size if size < 0 => {
                return Err(wire_status::invalid("page_size", "must not be negative"));
            }
            size => size.min(MAX),
        };
        let list = list.into();
        let after = match token {
            "" => None,
            token => Some(open(token, &list).ok_or_else(mismatch)?),
        };
        Ok(Self {
            size: i64::from(size),
            after,
            list,
        })
    }

    /// How many to fetch, to see whether a page follows.
    pub fn wanted(&self) -> i64 {
        self.size + 1
    }

    /// Cuts what was fetched to the page; the next token is made of the last item's place.
    pub fn cut<T>(&self, mut items: Vec<T>, place: impl Fn(&T) -> String) -> (Vec<T>, String) {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        if items.len() <= size {
            return (items, String::new());
        }
        items.truncate(size);
        let token = items.last().map(|last| self.seal(&place(last)));
        (items, token.unwrap_or_default())
    }

    fn seal(&self, place: &str) -> String {
        let mut bytes = bound(&self.list).to_vec();
        bytes.extend_from_slice(place.as_bytes());
        hex::encode(bytes)
    }
}

fn open(token: &str, list: &str) -> Option<String> {
    let bytes = hex::decode(token).ok()?;
    let (bytes, place) = bytes.split_at_checked(BOUND)?;
    (bytes == bound(list)).then(|| String::from_utf8(place.to_vec()).ok())?
}

fn bound(list: &str) -> [u8; BOUND] {
    let mut bytes = [0; BOUND];
    let hash = Sha256::digest(list.as_bytes());
    bytes.copy_from_slice(&hash[..BOUND]);
    bytes
}

fn mismatch() -> Status {
    wire_status::status(
        Reason::PageTokenMismatch,
        "the page token belongs to another list",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_on_in_its_own_list_only() {
        let first = Page::read(2, "", "errors of a").unwrap();
        let (items, token) = first.cut(vec!["x", "y", "z"], |item| (*item).to_owned());
        assert_eq!(items, ["x", "y"]);
        let second = Page::read(2, &token, "errors of a").unwrap();
        assert_eq!(second.after.as_deref(), Some("y"));
        assert_eq!(
            second.cut(vec!["z"], |item| (*item).to_owned()),
            (vec!["z"], String::new())
        );
        for bad in [&*token, "zz", "00"] {
            assert!(Page::read(2, bad, "errors of b").is_err());
        }
    }

    #[test]
    fn sizes_are_clamped() {
        let size = |size| Page::read(size, "", "l").map(|page| page.size);
        assert_eq!(size(0).unwrap(), 100);
        assert_eq!(size(5000).unwrap(), 1000);
        assert!(size(-1).is_err());
    }
}
