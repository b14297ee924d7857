//! How many connections there are, in all and from each address (upstream: `ConnectionQuotas`).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use config::BrokerSettings;
use parking_lot::Mutex;

use crate::connection::Closed;

/// Counts of open connections.
#[derive(Default)]
pub(crate) struct Connections(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    total: usize,
    by_address: BTreeMap<IpAddr, usize>,
}

/// One connection's place in the counts; dropping it gives the place back.
pub(crate) struct Place {
    counts: Arc<Mutex<Counts>>,
    address: IpAddr,
}

impl Connections {
    /// Counts a new connection, or refuses it.
    pub(crate) fn admit(&self, address: IpAddr, settings: &BrokerSettings) -> Result<Place, Closed> {
        let mut counts = self.0.lock();
        let of_address = counts.by_address.get(&address).copied().unwrap_or(0);
        let name = address.to_string();
        let own = settings.connections_per_ip_overrides.get(&name).copied();
        let of_address_max = own.unwrap_or(settings.network.connections_per_ip_max);
        if i64::try_from(of_address).is_ok_and(|count| count >= i64::from(of_address_max)) {
            return Err(Closed(format!("Too many connections from /{name} (maximum = {of_address_max})")));
        }
        let total_max = settings.network.connections_max;
        if i64::try_from(counts.total).is_ok_and(|count| count >= i64::from(total_max)) {
            return Err(Closed(format!("Too many connections (maximum = {total_max})")));
        }
        counts.total += 1;
        *counts.by_address.entry(address).or_default() += 1;
        Ok(Place { counts: self.0.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.counts.lock();
        counts.total -= 1;
        if let Some(of_address) = counts.by_address.get_mut(&self.address) {
            *of_address -= 1;
            if *of_address == 0 {
                counts.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_and_places_come_back() {
        let connections = Connections::default();
        let (one, other): (IpAddr, IpAddr) = ("127.0.0.1".parse().unwrap(), "127.0.0.2".parse().unwrap());
        let limits = crate::testing::settings(
            "max.connections=3\nmax.connections.per.ip=1\nmax.connections.per.ip.overrides=127.0.0.2:2",
        );
        let first = connections.admit(one, &limits).unwrap();
        let refusal = connections.admit(one, &limits).err().unwrap();
        assert_eq!(refusal.0, "Too many connections from /127.0.0.1 (maximum = 1)");
        let _second = connections.admit(other, &limits).unwrap();
        let _third = connections.admit(other, &limits).unwrap();
        drop(first);
        let _fourth = connections.admit(one, &limits).unwrap();
        let third: IpAddr = "127.0.0.3".parse().unwrap();
        assert_eq!(connections.admit(third, &limits).err().unwrap().0, "Too many connections (maximum = 3)");
    }
}
