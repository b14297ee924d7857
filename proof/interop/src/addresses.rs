//! Addresses of loopback that nobody else has, so that servers use their usual ports on them.

use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Result, bail};

/// So many addresses of this process that no other call returns. Behind the 127 stand 12 bits for the process, 9 for the call, 3
/// for the address.
pub(crate) fn addresses(count: usize) -> Result<Vec<String>> {
    static SERIAL: AtomicU16 = AtomicU16::new(0);
    let serial = usize::from(SERIAL.fetch_add(1, Ordering::Relaxed));
    let process = 16 + std::process::id() as usize % 4000;
    if count > 7 || serial >= 1 << 9 {
        bail!("no address is left");
    }
    let address = |id: usize| {
        let number = process << 12 | serial << 3 | id;
        format!("127.{}.{}.{}", number >> 16, number >> 8 & 0xff, number & 0xff)
    };
    Ok((1..=count).map(address).collect())
}
