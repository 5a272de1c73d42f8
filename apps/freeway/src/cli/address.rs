//! The address of one machine, as people write it on the command line.

use std::net::IpAddr;

/// Reads an address at which one machine can be reached: not "all addresses", no group.
///
/// # Errors
/// What is wrong with it, and what to write.
pub(crate) fn address_of_one(text: &str) -> Result<IpAddr, String> {
    let address: IpAddr = text.parse().map_err(|_| {
        "it is no IP address; write one of this machine, such as 192.168.1.10 (`ip address` lists them)"
            .to_owned()
    })?;
    if address.is_unspecified() || address.is_multicast() {
        return Err("others must be able to reach this machine there; name one of its addresses, such as \
                    192.168.1.10 (`ip address` lists them)"
            .to_owned());
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_address_of_one_machine_is_taken() {
        for good in ["127.0.0.1", "192.168.1.10", "2001:db8::1"] {
            assert_eq!(address_of_one(good).unwrap().to_string(), good);
        }
        for bad in ["", "example.org", "0.0.0.0", "::", "224.0.0.1", "1.2.3", "192.168.1.10:7700"] {
            assert!(address_of_one(bad).unwrap_err().contains("192.168.1.10"), "{bad}");
        }
    }
}
