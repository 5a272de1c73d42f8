//! What everybody hears of a block.

use freeway_ledger::lanes::{self, LANES};
use freeway_ledger::{Event, work};
use freeway_primitives::Amount;

use super::{Market, REMEMBERED};
use crate::chain::Mined;
use crate::payer::{InUse, Payer};

impl Market {
    pub(super) fn hear(&mut self, mined: Mined) {
        let height = self.chain.height;
        for event in &mined.events {
            self.tally.note(event, &self.chain.state, &self.league, height);
            match event {
                Event::Work(work::Event::Matured { host, interval, .. }) => {
                    if let Some(number) = self.number(host) {
                        self.hosts[number].due.insert(*interval);
                    }
                }
                Event::Lanes(event) => self.hear_of_lane(event),
                _ => {}
            }
        }
        for (kind, bytes) in mined.sizes {
            let (count, sum) = self.tally.traffic.entry(kind).or_default();
            (*count, *sum) = (*count + 1, *sum + bytes as u64);
        }
        for (account, reason) in mined.refused.into_iter().chain(mined.failed) {
            *self.tally.refused.entry((!self.league.has(&account), reason)).or_default() += 1;
        }
        let now = work::interval_at(self.chain.next(), &self.params.work);
        if let Some(before) = now.checked_sub(REMEMBERED) {
            self.hosts.iter_mut().for_each(|host| host.forgets(before));
            self.payers.iter_mut().for_each(|payer| payer.receipts = payer.receipts.split_off(&before));
        }
    }

    fn hear_of_lane(&mut self, event: &lanes::Event) {
        match event {
            lanes::Event::Drawn { lane: id, hosts } => {
                let lane = LANES.get(&self.chain.state, id).expect("memory is readable");
                let Some(lane) = lane else { return };
                let Some(payer) = self.payers.iter_mut().find(|payer| payer.address == lane.payer) else {
                    return;
                };
                let hosts: Vec<usize> =
                    hosts.iter().filter_map(|host| self.numbers.get(host).copied()).collect();
                for number in &hosts {
                    let host = &mut self.hosts[*number];
                    let deposit = lane.share(&host.address).map_or(Amount::ZERO, |share| share.deposit);
                    host.joins(*id, payer.number, deposit);
                }
                payer.lanes.insert(*id, InUse { hosts, expires: lane.expires });
            }
            lanes::Event::Settled { lane, fees, .. } => {
                let lane = LANES.get(&self.chain.state, lane).expect("memory is readable");
                let of = |payer: &&mut Payer| lane.as_ref().is_some_and(|lane| lane.payer == payer.address);
                if let Some(payer) = self.payers.iter_mut().find(of) {
                    payer.paid += fees.0;
                }
            }
            lanes::Event::Ended { lane, .. } => {
                self.hosts.iter_mut().for_each(|host| host.parts(*lane));
                self.payers.iter_mut().for_each(|payer| payer.parts(*lane));
            }
            _ => {}
        }
    }
}
