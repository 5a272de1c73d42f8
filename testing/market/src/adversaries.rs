//! Hosts and payers that cheat in the loop of money, one file each: what they do, and what must come of it.
//!
//! | file | what it does |
//! |---|---|
//! | [`coarse`] | computes with a smaller or coarser model |
//! | [`prompt`] | computes something else than it was asked |
//! | [`inject`] | puts text into the answer |
//! | [`truncate`] | stops early, and counts to the end |
//! | [`inflate`] | counts more tokens than there are |
//! | [`padding`] | hides a large fake among thousands of tiny, right receipts to itself |
//! | [`omit`] | leaves receipts of bad work out of its commitment |
//! | [`withhold`] | shows good work and hides bad |
//! | [`selfdeal`] | pays itself, for the rewards of serving |
//! | [`collude`] | shows its bad work to friends only, who call it right |
//! | [`voucher`] | pays with a voucher twice, or with one that is too low |
//! | [`leave`] | signs nothing after the last request; breaks off before the end |
//! | [`lazy`] | calls work right without computing it: copies, or guesses |
//! | [`grief`] | calls all work wrong, accuses, demands and reports |
//! | [`dies`] | no cheat: dies in mid answer, and comes back |
//! | [`tiny`] | opens ten thousand tiny lanes |
//! | [`forge`] | on the statistical tier: claims likelihoods that it did not compute |
//! | [`rescore`] | on the statistical tier: a small model, honestly scored by the right one |

pub mod coarse;
pub mod collude;
pub mod dies;
pub mod forge;
pub mod grief;
pub mod inflate;
pub mod inject;
pub mod lazy;
pub mod leave;
pub mod omit;
pub mod padding;
pub mod prompt;
pub mod rescore;
pub mod selfdeal;
pub mod tiny;
pub mod truncate;
pub mod voucher;
pub mod withhold;

pub(crate) use freeway_ledger::models::Tier;

use crate::job::Chance;
use crate::market::Market;

/// The host that cheats, of eight.
pub const BAD: usize = 7;
/// Its friends.
pub const FRIENDS: [usize; 2] = [5, 6];
/// The payer that cheats, of three.
pub const PAYER: usize = 2;

/// What must come of a scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// In every run a jury or a proof convicts it within two epochs, and it is poorer for it.
    Convicted,
    /// In every run it is noticed within two epochs, and poorer for it.
    Noticed,
    /// The same by evidence alone: nobody's collateral is touched.
    Suspected,
    /// Whether or not it is noticed, it is poorer for it.
    Poorer,
    /// It is refused, and gains nothing.
    Refused,
    /// It gains no more than this, in thousandths of a FWY an epoch.
    AtMost(u64),
    /// It does nothing wrong, and loses no collateral and no reputation by a verdict.
    Spared,
}

/// A way to cheat.
#[derive(Clone, Copy, Debug)]
pub struct Scheme {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a few words.
    pub does: &'static str,
    /// Who acts together, also in the run with which it is compared, in which all are honest.
    pub league: fn(&mut Market),
    /// What they do.
    pub cheat: fn(&mut Market),
    /// What happens before every block.
    pub tick: fn(&mut Market, &mut Chance),
    /// What must come of it.
    pub law: Law,
    /// The tier of the model that everybody serves.
    pub tier: Tier,
}

impl Scheme {
    const fn of_host(name: &'static str, does: &'static str, cheat: fn(&mut Market), law: Law) -> Self {
        Self { name, does, league: bad, cheat, tick: nothing, law, tier: Tier::Exact }
    }

    const fn of_payer(name: &'static str, does: &'static str, cheat: fn(&mut Market), law: Law) -> Self {
        Self { name, does, league: payer, cheat, tick: nothing, law, tier: Tier::Exact }
    }

    const fn statistical(self) -> Self {
        Self { tier: Tier::Statistical, ..self }
    }
}

fn bad(market: &mut Market) {
    market.conspire(&[BAD], &[]);
}

fn payer(market: &mut Market) {
    market.conspire(&[], &[PAYER]);
}

/// A host and a payer that asks for nothing by itself.
fn bad_with_payer(market: &mut Market) {
    market.conspire(&[BAD], &[PAYER]);
    market.payers[PAYER].conduct.rate = 0;
}

fn nothing(_: &mut Market, _: &mut Chance) {}

/// All of them.
pub fn all() -> Vec<Scheme> {
    vec![
        coarse::always(),
        coarse::sometimes(),
        prompt::scheme(),
        inject::scheme(),
        truncate::scheme(),
        inflate::counts(),
        inflate::fees(),
        padding::scheme(),
        omit::scheme(),
        withhold::scheme(),
        withhold::everything(),
        selfdeal::scheme(),
        collude::scheme(),
        lazy::copies(),
        lazy::guesses(),
        grief::scheme(),
        voucher::twice(),
        voucher::stale(),
        leave::last(),
        leave::breaks_off(),
        tiny::scheme(),
        dies::scheme(),
        forge::scheme(),
        rescore::scheme(),
    ]
}
