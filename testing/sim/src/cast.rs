//! Who takes part in a run: keys, powers, money, parameters, genesis.

use freeway_ledger::{Genesis, GenesisAccount, GenesisHost, Params, Preset, Text};
use freeway_primitives::{Address, Amount, Domain, SecretKey};

use crate::process::endpoint;

const OWNER: Domain = Domain::new("freeway simulation owner");
const CONSENSUS: Domain = Domain::new("freeway simulation consensus");
const NEXT: Domain = Domain::new("freeway simulation next consensus");
const USER: Domain = Domain::new("freeway simulation user");

/// When simulated networks are born, in milliseconds since 1970.
pub const GENESIS_MS: u64 = 1_750_000_000_000;

/// Collateral per unit of power.
const PER_POWER: u128 = 1_000_000;

/// A node's keys.
#[derive(Clone, Debug)]
pub struct Member {
    /// The key of the account that owns the host.
    pub owner: SecretKey,
    /// The key of its votes.
    pub consensus: SecretKey,
    /// The key that replaces it, should it be replaced.
    pub next: SecretKey,
    /// Its weight in genesis; a node without is a full node that only follows.
    pub weight: u64,
    /// Whether its power is backed from the start. If not, a deposit makes it a validator.
    pub backed: bool,
}

impl Member {
    /// The account that owns the host.
    pub fn address(&self) -> Address {
        Address::of(&self.owner.public())
    }
}

/// All who take part.
#[derive(Clone, Debug)]
pub struct Cast {
    /// The nodes.
    pub members: Vec<Member>,
    /// Owners of money who send transactions.
    pub users: Vec<SecretKey>,
    /// The network's beginning.
    pub genesis: Genesis,
}

fn key(domain: Domain, number: usize) -> SecretKey {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&(number as u64).to_le_bytes());
    SecretKey::from_seed(seed).derive(domain)
}

/// The rules of a simulated network: the local preset with its own clock of `epoch_blocks`, and a pace at
/// which simulated minutes hold many blocks. Its races are too short for anybody to take part: for the runs
/// that are about consensus and the beacon.
pub fn params(epoch_blocks: u64) -> Params {
    let mut params = Preset::Local.params();
    params.hosts.collateral_per_power = Amount(PER_POWER);
    params.blocks.target_ms = 500;
    params.blocks.propose_timeout_ms = 1_000;
    params.blocks.vote_timeout_ms = 400;
    params.epochs.epoch_blocks = epoch_blocks;
    params.epochs.sprint_blocks = 1;
    params.epochs.grace_blocks = 0;
    params.epochs.verify_blocks = 2;
    params.epochs.dealing_blocks = 9;
    params.sprint.verdict_blocks = 1;
    params.sprint.judge_blocks = 0;
    params.sprint.answer_blocks = 1;
    params.beacon.seats = 8;
    params.evidence.max_age_blocks = epoch_blocks * 2;
    params.hosts.unbonding_blocks = epoch_blocks * 3;
    params
}

/// Blocks of an epoch in which hosts race: see [`race_params`].
pub const RACE_EPOCH: u64 = 28;

/// The rules of a simulated network whose hosts race, and then make the next key: the local preset, its stages
/// just long enough for everything that can happen in them.
pub fn race_params() -> Params {
    let mut params = params(RACE_EPOCH);
    params.epochs.sprint_blocks = 5;
    params.epochs.grace_blocks = 2;
    params.epochs.verify_blocks = 11;
    params.epochs.dealing_blocks = 6;
    params.sprint.verdict_blocks = 6;
    params.sprint.judge_blocks = 2;
    params.sprint.answer_blocks = 3;
    // Weights of a few hundred, so that they tell speeds apart.
    params.sprint.weight_shift = 20;
    params
}

impl Cast {
    /// A network of hosts with these weights (and whether each is backed from the start), and of users.
    ///
    /// # Panics
    /// If the parameters contradict themselves: a defect of the simulator.
    pub fn new(weights: &[(u64, bool)], users: usize, params: Params) -> Self {
        params.check().expect("the simulator's parameters are valid");
        let members: Vec<Member> = weights
            .iter()
            .enumerate()
            .map(|(number, (weight, backed))| Member {
                owner: key(OWNER, number),
                consensus: key(CONSENSUS, number),
                next: key(NEXT, number),
                weight: *weight,
                backed: *backed,
            })
            .collect();
        let users: Vec<SecretKey> = (0..users).map(|number| key(USER, number)).collect();
        let owners = members.iter().map(|member| (&member.owner, 1_000_000));
        let accounts = owners
            .chain(users.iter().map(|user| (user, 1_000)))
            .map(|(key, coins)| GenesisAccount {
                address: Address::of(&key.public()),
                balance: Amount::fwy(coins),
            })
            .collect();
        let text = |text: String| Text::new(text).expect("a short text");
        let hosts = members
            .iter()
            .enumerate()
            .filter(|(_, member)| member.weight > 0)
            .map(|(number, member)| GenesisHost {
                address: member.address(),
                consensus_key: member.consensus.public(),
                weight: member.weight,
                collateral: if member.backed { collateral(member.weight) } else { Amount::ZERO },
                operator: text(format!("operator {number}")),
                region: text("nowhere".into()),
                endpoints: vec![endpoint(number)],
            })
            .collect();
        let genesis =
            Genesis { name: text("simulation".into()), time_ms: GENESIS_MS, params, accounts, hosts };
        Self { members, users, genesis }
    }
}

/// What backs a weight in full.
pub fn collateral(weight: u64) -> Amount {
    Amount(u128::from(weight) * PER_POWER)
}
