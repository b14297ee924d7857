//! The locks of `parking_lot` over shuttle's: code that is compiled against them runs its threads in orders that a seed chooses.
//!
//! Every lock is a point where another thread may go on. They live inside of a run of shuttle only.

use shuttle::sync;

pub use sync::{MutexGuard, RwLockReadGuard, RwLockWriteGuard};

const PANICKED: &str = "a panic ends the run";

/// `parking_lot::Mutex`.
#[derive(Debug, Default)]
pub struct Mutex<T>(sync::Mutex<T>);

impl<T> Mutex<T> {
    /// A free lock.
    pub const fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    /// Waits for the lock.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().expect(PANICKED)
    }
}

/// `parking_lot::RwLock`.
#[derive(Debug, Default)]
pub struct RwLock<T>(sync::RwLock<T>);

impl<T> RwLock<T> {
    /// A free lock.
    pub const fn new(value: T) -> Self {
        Self(sync::RwLock::new(value))
    }

    /// Waits until nobody writes.
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().expect(PANICKED)
    }

    /// Waits until nobody reads or writes.
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().expect(PANICKED)
    }
}
