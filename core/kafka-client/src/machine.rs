//! What every client machine offers its driver: inputs in, effects out, and a deadline.

use base::{Monotonic, Now};

use crate::network::{Effect, Input};

/// A client without input and output of its own. A driver tells it inputs, calls [`Machine::advance`] after them and when
/// the deadline has come, and carries out the effects.
pub trait Machine {
    /// Takes one input in.
    fn handle(&mut self, input: Input, now: Now);

    /// Does what is due. Call it after inputs, after calls of the user, and at the deadline.
    fn advance(&mut self, now: Now);

    /// What the driver has to do, in order.
    fn take_effects(&mut self) -> Vec<Effect>;

    /// When [`Machine::advance`] is to be called next if nothing comes in.
    fn deadline(&self) -> Option<Monotonic>;
}
