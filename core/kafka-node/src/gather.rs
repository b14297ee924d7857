//! One answer whose parts come at different times.

use std::sync::Arc;

use parking_lot::Mutex;

/// Collects parts; whoever lets go last finishes with all of them. A count of one for each part is not needed: each holder
/// has a handle, and a handle that is dropped without its part still lets the others finish.
pub(crate) struct Gather<T, F: FnOnce(Vec<T>)> {
    parts: Mutex<Vec<T>>,
    finish: Mutex<Option<F>>,
}

impl<T, F: FnOnce(Vec<T>)> Gather<T, F> {
    /// Begins with what is known already; `finish` runs when the last handle is gone.
    pub(crate) fn new(known: Vec<T>, finish: F) -> Arc<Self> {
        Arc::new(Self { parts: Mutex::new(known), finish: Mutex::new(Some(finish)) })
    }

    /// Adds a part.
    pub(crate) fn add(&self, part: T) {
        self.parts.lock().push(part);
    }
}

impl<T, F: FnOnce(Vec<T>)> Drop for Gather<T, F> {
    fn drop(&mut self) {
        if let Some(finish) = self.finish.get_mut().take() {
            finish(std::mem::take(self.parts.get_mut()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_handle_finishes() {
        let done = Arc::new(Mutex::new(None));
        let seen = done.clone();
        let gather = Gather::new(vec![1], move |parts: Vec<i32>| *seen.lock() = Some(parts));
        let other = gather.clone();
        gather.add(2);
        drop(gather);
        assert_eq!(*done.lock(), None);
        other.add(3);
        drop(other);
        assert_eq!(*done.lock(), Some(vec![1, 2, 3]));
    }
}
