//! Clients: they pay each other, make mistakes, and remember what they were promised.

use freeway_ledger::{Body, Message, accounts};
use freeway_primitives::{Address, Amount, Canonical, ChainId, Digest, Height, SecretKey};

use crate::process::Process;
use crate::random::Random;

/// A transaction that a node has accepted.
#[derive(Clone, Debug)]
pub struct Promise {
    /// The node.
    pub node: usize,
    /// How often the node had lost its disk.
    pub wipes: u64,
    /// Its hash.
    pub hash: Digest,
    /// The last height at which it can stand.
    pub expiry: Height,
    /// The account.
    pub account: Address,
    /// The key that signed.
    pub signer: Address,
    /// Its sequence number.
    pub sequence: u64,
}

/// A transaction and what is known of it.
pub struct Made {
    /// The canonical bytes.
    pub bytes: Vec<u8>,
    /// What a node that accepts it promises.
    pub promise: Promise,
}

/// The next sequence number of `key` for its own account, as `process` sees it.
pub fn sequence(process: &Process, key: &SecretKey) -> u64 {
    let address = Address::of(&key.public());
    let state = process.chain().store().view();
    let next = accounts::next_sequence(&state, &address, &address).ok().flatten().unwrap_or_default();
    process.mempool().next_sequence(&address, &address, next)
}

/// A transaction of `key` with `message`, good for `lifetime` blocks.
pub fn transaction(
    process: &Process,
    (node, wipes): (usize, u64),
    key: &SecretKey,
    message: Message,
    lifetime: u64,
) -> Made {
    let address = Address::of(&key.public());
    let sequence = sequence(process, key);
    let expiry = process.chain().height().plus(lifetime);
    let body = Body {
        chain: process.chain().chain(),
        signer: key.public(),
        on_behalf_of: None,
        sequence,
        expiry,
        message,
    };
    let signed = body.sign(key);
    let promise =
        Promise { node, wipes, hash: signed.hash(), expiry, account: address, signer: address, sequence };
    Made { bytes: signed.encode(), promise }
}

/// What a client sends next to a node: usually a sound payment, sometimes nonsense.
pub fn client(
    random: &mut Random,
    users: &[SecretKey],
    process: &Process,
    node: (usize, u64),
    before: &mut Vec<Vec<u8>>,
) -> Made {
    let user = random.pick(users).clone();
    let to = match random.between(0, 9) {
        0 => Address([random.between(0, 255) as u8; 32]),
        _ => Address::of(&random.pick(users).public()),
    };
    let amount = match random.between(0, 19) {
        0 => Amount::ZERO,
        1 => Amount::fwy(1_000_000_000),
        2 => Amount(1),
        _ => Amount(u128::from(random.between(1_000_000, 2_000_000_000))),
    };
    let message = Message::Accounts(accounts::Message::Transfer { to, amount });
    let lifetime = random.between(2, 60);
    let mut made = transaction(process, node, &user, message, lifetime);
    match random.between(0, 29) {
        // A broken signature, a cut, another network, a replay.
        0 => made.bytes[10] ^= 1,
        1 => made.bytes.truncate(20),
        2 => {
            let body = Body {
                chain: ChainId(Digest([1; 32])),
                signer: user.public(),
                on_behalf_of: None,
                sequence: made.promise.sequence,
                expiry: made.promise.expiry,
                message: Message::Accounts(accounts::Message::Transfer { to, amount }),
            };
            made.bytes = body.sign(&user).encode();
        }
        3 if !before.is_empty() => made.bytes.clone_from(random.pick(before)),
        _ => before.push(made.bytes.clone()),
    }
    made
}
