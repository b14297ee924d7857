//! This host's name as Java's `InetAddress.getLocalHost().getCanonicalHostName()` has it: what a broker advertises for a listener
//! without a host.

use std::ffi::CStr;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::OnceLock;

use socket2::SockAddr;

use crate::kafka::resolve;

/// Asked once: a name service may take its time.
pub(crate) fn own_name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| canonical(&rustix::system::uname().nodename().to_string_lossy()))
}

/// The name of the first address of `node`, if it leads back to that address, otherwise the address. A node whose name has no address
/// stops the original; here it keeps its name.
fn canonical(node: &str) -> String {
    let Ok(address) = resolve(node, 0) else { return node.to_owned() };
    let leads_back = |name: &String| {
        (name.as_str(), 0).to_socket_addrs().is_ok_and(|mut all| all.any(|one| one.ip() == address.ip()))
    };
    name_of(address.ip()).filter(leads_back).unwrap_or_else(|| address.ip().to_string())
}

/// What the name service calls an address.
#[expect(unsafe_code, reason = "no library in use asks for the name of an address")]
fn name_of(address: IpAddr) -> Option<String> {
    let address = SockAddr::from(SocketAddr::new(address, 0));
    // The longest name that the C library gives.
    let mut name = [0_u8; 1025];
    let length = libc::socklen_t::try_from(name.len()).ok()?;
    // SAFETY: both pointers are to live memory of the lengths given; no service is asked for.
    let failed = unsafe {
        libc::getnameinfo(
            address.as_ptr().cast(),
            address.len(),
            name.as_mut_ptr().cast(),
            length,
            std::ptr::null_mut(),
            0,
            libc::NI_NAMEREQD,
        )
    };
    let name = CStr::from_bytes_until_nul(&name).ok()?;
    (failed == 0).then(|| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_back_to_its_host_and_one_without_address_stays() {
        let name = canonical("localhost");
        assert!(resolve(&name, 0).unwrap().ip().is_loopback(), "{name}");
        assert_eq!(canonical("127.0.0.1"), name, "an address is named too");
        assert_eq!(canonical("nowhere.invalid"), "nowhere.invalid");
        assert!(!own_name().is_empty());
    }
}
