//! Whoever and whatever works against the network, one file each.
//!
//! | file | what it does | bound |
//! |---|---|---|
//! | [`crasher`] | cuts the power of nodes at any moment | any number, all start again |
//! | [`partitioner`] | cuts the network apart, both ways or one way | all cuts are mended |
//! | [`saboteur`] | makes disks fail: full, unwritable, unsyncable, dead in the middle of a write | healed with a restart |
//! | [`wiper`] | takes a validator's disk away, and plays its past to it | one validator |
//! | [`skewer`] | sets clocks forward and back | up to four seconds |
//! | [`equivocator`] | a validator that signs contradictions, or proposes lies | less than a third of the power |
//! | [`garbage`] | an outsider that sends rubbish, endless streams, and old messages again | any amount |
//! | [`sprint`] | hosts that cheat in the race | less than a third of the power |
//! | [`churn`] | owners that leave, withdraw, deposit, register and change keys | what the ledger allows |

pub mod churn;
pub mod crasher;
pub mod equivocator;
pub mod garbage;
pub mod partitioner;
pub mod saboteur;
pub mod skewer;
pub mod sprint;
pub mod wiper;
