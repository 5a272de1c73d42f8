//! The randomness beacon's cryptography: a fresh shared key for every epoch, and one value per height under it.
//!
//! The value of a height is the only BLS signature (BLS12-381, signature in G1, 48 bytes) of (chain, epoch, group
//! key, height) under the epoch's group key. Nobody has that key: the validators hold shares of it, by power, and
//! a majority of the shares makes the signature. So the value exists before anybody knows it, and nobody can
//! choose it, not even by keeping quiet.
//!
//! The crate is pure: no messages, clock or chance of its own. What is posted travels in transactions, so that
//! all see the same messages; everything that all must agree on is a function of those.
//!
//! # Use
//!
//! ```
//! use std::collections::BTreeMap;
//! use freeway_beacon::{Board, Round, Seats};
//! use freeway_primitives::{Address, ChainId, Digest, Epoch, Height, SecretKey, Validator, ValidatorSet};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (secret, chain) = (SecretKey::from_seed([1; 32]), ChainId(Digest::ZERO));
//! let me = Address::of(&secret.public());
//! let set = ValidatorSet::new(vec![Validator { address: me, key: secret.public(), power: 5 }])?;
//!
//! // The round for the key of epoch 1, in the epoch before it.
//! let round = Round::new(chain, Epoch(1), Seats::apportion(&set, 3)?);
//! // 1. Everybody posts a dealing; the ledger keeps the first of each that `check_dealing` accepts.
//! let dealing = round.deal(&secret, &me)?;
//! round.check_dealing(&me, &dealing)?;
//! // 2. When the time for dealings is over, everybody posts what it found in them (`check_acks`).
//! let board = Board::new(round, BTreeMap::from([(me, dealing)]));
//! let acks = BTreeMap::from([(me, board.acknowledge(&secret, &me)?)]);
//! // 3. Dealers against whom somebody complained answer (`check_log`); normally nobody has to.
//! assert!(board.close(&secret, &me, &acks)?.is_none());
//! let logs = BTreeMap::new();
//! // The result is state of the chain; the shares are everybody's own.
//! let group = board.group(&acks, &logs)?;
//! let shares = board.shares(&secret, &me, &group, &logs)?;
//!
//! // At every height of the epoch: partial signatures in the votes, joined once there is a majority of seats.
//! let committee = group.open(&chain)?;
//! let partials = shares.sign(Height(9));
//! committee.verify_partials(Height(9), &[(me, &partials)])?;
//! let value = committee.recover(Height(9), &[(me, &partials)])?;
//! // Anybody with the state can check it.
//! group.verify(&chain, Height(9), &value)?;
//! let randomness: Digest = value.randomness();
//! # Ok(())
//! # }
//! ```
//!
//! # The round
//!
//! It is Joint-Feldman (Feldman's sharing by every dealer, the sum is the key) on a bulletin board, with a proof
//! of possession. Each validator deals one secret polynomial for all its seats. It encrypts to each seat its
//! share, posts all of that as one [`Dealing`], and proves by a signature under the constant term that it knows
//! what it contributes. In [`Acks`] each validator says which dealings gave all its seats right shares and which
//! did not. A dealer shows the shares of who complained in a [`Log`], or is left out. A dealing is good if every
//! complaint was answered and a majority of the seats have a right share for sure. The group's polynomial is the
//! sum of the first good dealings, in the order of the seats, whose dealers hold a majority of the seats.
//!
//! # What holds, and while what holds
//!
//! Let less than a third of the power be dishonest; [`Seats`] says what that is in seats: a minority for sure
//! when there are 1.5 seats per validator.
//!
//! - **Nobody knows the key.** The dealers of the key hold a majority of the seats, so at least one is honest.
//!   Dealers count by seats, not by heads: a crowd of tiny validators is no majority. The proof of possession
//!   keeps a dealer from making its polynomial out of those of others (Ristenpart and Yilek, EUROCRYPT 2007).
//! - **Nobody learns an honest dealer's polynomial**, however slow the network is. A dealer shows only shares of
//!   who *complained*; an honest validator does not complain about an honest dealer, so only shares are shown
//!   that the dishonest have anyway. Mere silence shows nothing: shares for who is late stay on the board,
//!   encrypted, and it finds them there when it is back. An honest dealer never shows as many shares as would
//!   give its polynomial away, whatever is complained about.
//! - **A third may be missing**, in every phase: all that is needed is a majority of the seats.
//! - **No choice of the value.** The last to post can influence which dealings count, and so which *key* it is
//!   (Joint-Feldman keys are not uniform; Gennaro, Jarecki, Krawczyk and Rabin 2007), but without knowing an
//!   honest part of it, and so without knowing any value under any of the keys that it can choose between.
//! - **Complete shares need a timely network.** An honest validator that is cut off while complaints are due and
//!   was dealt a wrong share by a dishonest dealer that counts has no shares in this group
//!   ([`SharesError::Wrong`]). If that happens to so many that no majority is left, values wait for the next
//!   group: randomness is late, and never wrong or known to others.
//!
//! A majority of *all consensus keys of an epoch* can compute its values: shares can be read with those keys,
//! and dealings are derived from them so that a restarted node posts the same bytes. They protect the chain
//! itself, which asks for more than the beacon does.
//!
//! # Why not the library's key generation
//!
//! Points, polynomials, threshold signatures and their batch verification are those of `commonware-cryptography`.
//! Its own `feldman_desmedt` round was measured and set aside:
//!
//! - It reveals the shares of everybody who did not acknowledge. With a threshold of a majority that is not safe
//!   when the network is slow: who holds a third of the seats and cuts off another third while acknowledgements
//!   are due sees two thirds of the shares of every honest dealer, more than a majority, and knows the key. Its
//!   own threshold of two thirds is safe, but the seats of a two-thirds quorum of power need not be two thirds.
//! - It selects dealers by heads. One dealing per validator lets many small validators be all dealers of the
//!   key; one dealing per seat is sound but multiplies messages and checks.
//! - Its logs repeat the polynomial and an acknowledgement per seat, which the chain has already.
//!
//! Bytes that a whole round posts when nobody complains:
//!
//! | | 16 seats, 4 validators | 128 seats, 100 validators |
//! |---|---|---|
//! | library, a dealing per seat | 80 kB (22 dealings, 16 acks, 40 logs) | 4.8 MB (1.3, 1.1, 2.4) |
//! | library, a dealing per validator (unsound) | 20 kB (6, 4, 10) | 3.7 MB (1.0, 0.8, 1.9) |
//! | this crate | 6.5 kB (6.0, 0.5, 0) | 1.06 MB (1.05, 0.01, 0) |
//!
//! # Sizes
//!
//! | | 16 seats, 4 validators | 128 seats, 100 validators | at most |
//! |---|---|---|---|
//! | [`Dealing`] | 1,496 | 10,456 | 20,568 |
//! | [`Acks`] | 128 | 128 | 128 |
//! | [`Log`] for `s` seats that complain | 100 + 33 `s` | 100 + 33 `s` | 4,291 |
//! | [`Group`] | 1,156 | 12,772 | 20,640 |
//! | [`Partials`] of `s` seats | 4 + 49 `s` | 4 + 49 `s` | 12,499 |
//! | [`Value`] | 48 | 48 | 48 |
//!
//! # The same result everywhere
//!
//! Nothing depends on chance: batches are blinded by factors from the digest of what is checked. Who makes a
//! message could only cheat by finding, among the digests of messages of its choice, one whose factors let its
//! errors cancel: 2^-128 for each attempt, as if the factors were drawn afterwards.

#![forbid(unsafe_code)]

mod board;
mod channel;
mod committee;
mod curve;
mod error;
mod group;
mod messages;
mod outcome;
mod round;
mod seats;

pub use board::Board;
pub use committee::{Committee, Partials, Shares};
pub use error::{
    AcksError, BadPartials, DealingError, DealingFailed, GroupError, LogError, OwnError, RecoverError,
    Refusal, SharesError, ValueError,
};
pub use group::{Group, Value};
pub use messages::{Acks, Dealing, Log};
pub use round::Round;
pub use seats::{Holder, MAX_SEATS, Seats, SeatsError};
