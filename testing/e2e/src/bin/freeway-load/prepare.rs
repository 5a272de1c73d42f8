//! The network, and the transfers that it will carry.

use freeway_e2e::{Actor, Plan};
use freeway_ledger::Preset;
use freeway_primitives::{Address, Amount, Canonical};
use rayon::prelude::*;

use crate::{Options, Rate};

/// More than any two cores carry: what `--rate max` prepares for each second.
const MAX_RATE: u64 = 9_000;
/// Enough for the most transactions a block.
const BALANCE: Amount = Amount::fwy(1_000);
/// Blocks that a transfer may wait: less than the local preset's limit, more than any run takes.
const LIFETIME: u64 = 1_000;

/// The local preset as it stands, with many accounts.
pub(crate) fn plan(options: &Options) -> Plan {
    Plan {
        hosts: options.hosts,
        accounts: options.accounts,
        balance: BALANCE,
        params: Preset::Local.params(),
        ..Plan::default()
    }
}

/// Signs the transfers of each account, in order.
pub(crate) fn sign(options: &Options, actors: &[Actor], height: u64) -> Vec<Vec<Vec<u8>>> {
    let rate = match options.rate {
        Rate::Max => MAX_RATE,
        Rate::Fixed(rate) => rate,
    };
    let each = (rate * options.seconds).div_ceil(actors.len() as u64) + 1;
    let addresses: Vec<Address> = actors.iter().map(Actor::address).collect();
    let of_one = |(at, actor): (usize, &Actor)| {
        (0..each)
            .map(|sequence| {
                let to = addresses[(at + 1 + sequence as usize) % addresses.len()];
                actor.sign_transfer(sequence, height + LIFETIME, to, Amount(1_000)).encode()
            })
            .collect()
    };
    actors.par_iter().enumerate().map(of_one).collect()
}
