//! What a run came to.

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Runs summed up.
    pub runs: u64,
    /// The lowest height that all nodes reached.
    pub heights: u64,
    /// Messages on links.
    pub messages: u64,
    /// Power cuts.
    pub crashes: u64,
    /// Cuts through the network.
    pub cuts: u64,
    /// Disks that failed.
    pub sabotaged: u64,
    /// Nodes that stopped by themselves because of it.
    pub stopped: u64,
    /// Disks that were lost.
    pub wipes: u64,
    /// Equivocation that honest engines saw.
    pub evidence: u64,
    /// Validators convicted.
    pub convictions: u64,
    /// Switches of the validator set.
    pub switches: u64,
    /// Switches that were held.
    pub held: u64,
    /// Values of the beacon.
    pub values: u64,
    /// Keys of the beacon.
    pub keys: u64,
    /// Keys that could not be made.
    pub keyless: u64,
    /// Races that settled.
    pub races: u64,
    /// Transactions that nodes accepted.
    pub accepted: u64,
    /// The highest round.
    pub max_round: u64,
    /// Simulated milliseconds.
    pub simulated_ms: u64,
    /// Events.
    pub events: u64,
}

impl Summary {
    /// Adds another run.
    pub fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.heights += other.heights;
        self.messages += other.messages;
        self.crashes += other.crashes;
        self.cuts += other.cuts;
        self.sabotaged += other.sabotaged;
        self.stopped += other.stopped;
        self.wipes += other.wipes;
        self.evidence += other.evidence;
        self.convictions += other.convictions;
        self.switches += other.switches;
        self.held += other.held;
        self.values += other.values;
        self.keys += other.keys;
        self.keyless += other.keyless;
        self.races += other.races;
        self.accepted += other.accepted;
        self.max_round = self.max_round.max(other.max_round);
        self.simulated_ms += other.simulated_ms;
        self.events += other.events;
    }
}
