//! What a membership or leadership holds on to: once its last clone is dropped, the lease is given up.

use std::fmt;
use std::sync::Arc;

/// Runs an action when the last clone is dropped.
#[derive(Clone)]
pub(super) struct Held {
    _last: Arc<OnDrop>,
}

struct OnDrop(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Held {
    pub(super) fn new(release: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self {
            _last: Arc::new(OnDrop(Some(Box::new(release)))),
        }
    }
}

impl Drop for OnDrop {
    fn drop(&mut self) {
        if let Some(release) = self.0.take() {
            release();
        }
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held")
    }
}
