//! Lists: page after page until everything or enough is there.

use std::future::Future;

use super::unreadable;
use crate::stop::Stop;

/// Most items that a controller gives at a time.
const PAGE: u32 = 1000;

/// The beginning of a list, or all of it.
#[derive(Debug)]
pub struct Listed<T> {
    /// The items.
    pub items: Vec<T>,
    /// There are more.
    pub is_cut: bool,
}

/// Fetches pages, each of a size and behind a token, up to `limit` items.
pub async fn pages<T, F, Fut>(limit: u32, fetch: F) -> Result<Listed<T>, Stop>
where
    F: Fn(i32, String) -> Fut,
    Fut: Future<Output = Result<(Vec<T>, String), Stop>>,
{
    let mut items = Vec::new();
    let mut token = String::new();
    loop {
        let have = u32::try_from(items.len()).unwrap_or(u32::MAX);
        let size = limit.saturating_sub(have).min(PAGE);
        let (page, next) = fetch(i32::try_from(size).unwrap_or(i32::MAX), token.clone()).await?;
        let is_empty = page.is_empty();
        items.extend(page);
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        if next.is_empty() || items.len() >= wanted {
            let is_cut = !next.is_empty() || items.len() > wanted;
            items.truncate(wanted);
            return Ok(Listed { items, is_cut });
        }
        if is_empty && next == token {
            return Err(unreadable("a list leads nowhere"));
        }
        token = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list of that many numbers, in pages of at most 10.
    async fn numbers(count: u32, limit: u32) -> Listed<u32> {
        pages(limit, |size, token| async move {
            let from: u32 = token.parse().unwrap_or(0);
            let to = count.min(from + u32::try_from(size).unwrap().min(10));
            let next = if to < count {
                to.to_string()
            } else {
                String::new()
            };
            Ok(((from..to).collect(), next))
        })
        .await
        .unwrap()
    }

    #[tokio::test]
    async fn pages_are_joined_and_cut_at_the_limit() {
        for (count, limit, expected, is_cut) in [
            (0, 5, 0, false),
            (25, 500, 25, false),
            (25, 25, 25, false),
            (25, 24, 24, true),
            (25, 3, 3, true),
        ] {
            let listed = numbers(count, limit).await;
            assert_eq!(listed.items, (0..expected).collect::<Vec<_>>());
            assert_eq!(listed.is_cut, is_cut, "{count} {limit}");
        }
    }

    #[tokio::test]
    async fn a_list_that_leads_nowhere_ends() {
        let listed = pages(5, |_, _| async {
            Ok((Vec::<u32>::new(), "again".to_owned()))
        });
        assert!(listed.await.is_err());
    }
}
