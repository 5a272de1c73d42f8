//! A node that is a thread: the state of a genesis, three blocks, and a fate for whatever is submitted.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use freeway_api::beacon::{DealingView, GroupView, LatestValue, SeatsView};
use freeway_api::sprint::{MemberView, SettledView, SprintHostView, SprintHostsView, SprintResultsView};
use freeway_api::{
    AccountView, BeaconValueView, BeaconView, BlockEvent, BlockView, DelegateView, HostStanding, HostView,
    HostsView, MempoolView, ProofView, QuotaView, RaceTotals, ReceiptView, SigningView, SprintResultView,
    SprintStatus, SprintView, Status, SubmitRequest, SubmitView, ValidatorsView,
};
use freeway_ledger::accounts::{self, ACCOUNTS, Delegate, Scope, Scopes};
use freeway_ledger::{
    Genesis, GenesisAccount, GenesisHost, Outcome, Preset, Receipt, Text, Transaction, hosts, sprint, weights,
};
use freeway_primitives::{
    Address, Amount, Block, BlockId, Canonical, Certificate, CommitSignature, Digest, Epoch, Header, Height,
    SecretKey, ValidatorSet,
};
use freeway_store::{Config, Medium, SimulatedDisk, Store};
use serde::Serialize;
use serde_json::json;

/// The next sequence of alice.
pub(crate) const SEQUENCE: u64 = 7;
/// The latest block, and the last that the stream of events brings.
const TIP: u64 = 1;
const LAST: u64 = 3;

/// What becomes of a transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is in the last block and does what it asks.
    Done,
    /// It is in the last block and fails.
    Failed,
    /// It is in no block.
    Ignored,
    /// The first is refused, as its sequence is taken; then as [`Fate::Done`].
    OvertakenOnce,
}

/// The handle of a node that runs until the test ends.
pub(crate) struct Fake {
    node: Arc<Node>,
    port: u16,
}

struct Node {
    genesis: Genesis,
    alice: Address,
    store: Store,
    validators: ValidatorSet,
    header: Header,
    certificate: Certificate,
    fate: Fate,
    changing: Mutex<Changing>,
}

#[derive(Default)]
struct Changing {
    last: Option<Transaction>,
    refused: u64,
    lies: bool,
}

/// An answer: HTTP status, content type, body.
type Answer = (u16, &'static str, String);

impl Fake {
    /// Starts a node on which `alice` owns the only host.
    pub(crate) fn start(alice: Address, fate: Fate) -> Self {
        let node = Arc::new(Node::new(alice, fate));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = Arc::clone(&node);
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let node = Arc::clone(&serving);
                // A client that hangs up in the middle is its own business.
                std::thread::spawn(move || node.serve(connection.unwrap()).ok());
            }
        });
        Self { node, port }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn chain(&self) -> String {
        self.node.genesis.chain().to_string()
    }

    /// The latest transaction that was accepted.
    pub(crate) fn last(&self) -> Transaction {
        self.node.changing.lock().unwrap().last.clone().unwrap()
    }

    /// From now on, proofs are of another account.
    pub(crate) fn lie(&self) {
        self.node.changing.lock().unwrap().lies = true;
    }
}

impl Node {
    fn new(alice: Address, fate: Fate) -> Self {
        let key = SecretKey::from_seed([42; 32]);
        let text = |text: &str| Text::new(text).unwrap();
        let genesis = Genesis {
            name: text("fake"),
            time_ms: 0,
            params: Preset::Local.params(),
            accounts: vec![GenesisAccount { address: alice, balance: Amount::fwy(1_000) }],
            hosts: vec![GenesisHost {
                address: alice,
                consensus_key: key.public(),
                weight: 1_000,
                collateral: Amount::fwy(100),
                operator: text("fake"),
                region: text("eu"),
                endpoints: vec![],
            }],
        };
        let (delta, validators) = freeway_ledger::open(&genesis).unwrap();
        let store = Store::open(Medium::Simulated(SimulatedDisk::new()), Config::default()).unwrap();
        let root = store.initialise(&genesis.encode(), &delta).unwrap();
        let header = Header {
            chain: genesis.chain(),
            height: Height(TIP),
            time_ms: 1,
            proposer: alice,
            parent: BlockId::GENESIS,
            parent_certificate: Block::certificate_digest(None),
            state_root: root,
            receipts_root: Digest::ZERO,
            transactions_root: Block::transactions_root(&[]),
            validators: validators.digest(),
            next_validators: validators.digest(),
            beacon: None,
        };
        let mut certificate =
            Certificate { height: header.height, round: 0, block: header.id(), signatures: vec![] };
        let signature = certificate.vote_of(alice).sign(&header.chain, &key).signature;
        certificate.signatures.push(CommitSignature { validator: alice, signature });
        let changing = Mutex::default();
        Self { genesis, alice, store, validators, header, certificate, fate, changing }
    }

    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        let mut request = String::new();
        reader.read_line(&mut request)?;
        let (mut length, mut line) = (0, String::new());
        while reader.read_line(&mut line)? > 2 {
            let lower = line.to_ascii_lowercase();
            length =
                lower.strip_prefix("content-length: ").map_or(length, |text| text.trim().parse().unwrap());
            line.clear();
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let target = request.split(' ').nth(1).unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (status, kind, text) = self.answer(path, query, &body);
        let length = text.len();
        write!(
            reader.get_mut(),
            "HTTP/1.1 {status} x\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}"
        )
    }

    fn answer(&self, path: &str, query: &str, body: &[u8]) -> Answer {
        let parts: Vec<&str> = path.split('/').skip(2).collect();
        match parts.as_slice() {
            ["status"] => ok(&self.status()),
            ["accounts", address] => ok(&self.account(address.parse().unwrap())),
            ["accounts", address, "proof"] => ok(&self.proof(address.parse().unwrap())),
            ["validators"] => ok(&ValidatorsView::new(TIP, &self.validators)),
            ["hosts"] => ok(&HostsView { height: TIP, hosts: vec![self.host()], next: None }),
            ["hosts", _] => ok(&self.host()),
            ["blocks", "latest" | "1"] => ok(&self.block()),
            ["sprint"] => ok(&self.race()),
            ["sprint", "hosts"] => ok(&self.race_hosts()),
            ["sprint", "results"] => ok(&self.results()),
            ["beacon"] => ok(&self.beacon()),
            ["beacon", "1"] => ok(&self.value()),
            ["transactions"] => self.submit(body),
            ["events"] => {
                let from = query.strip_prefix("from=").unwrap().parse().unwrap();
                (200, "text/event-stream", (from..=LAST).map(|height| self.event(height)).collect())
            }
            _ => error(404, "not_found", "there is nothing here; look elsewhere"),
        }
    }

    fn host(&self) -> HostView {
        let entry = &self.genesis.hosts[0];
        let profile = hosts::Profile {
            consensus_key: entry.consensus_key,
            endpoints: vec![],
            region: entry.region.clone(),
            operator: entry.operator.clone(),
            hardware: Text::default(),
        };
        let host = hosts::Host {
            profile,
            weight: entry.weight,
            collateral: entry.collateral,
            unbonding: vec![],
            since: Default::default(),
            status: hosts::Status::Active,
        };
        let proven = weights::Record { now: 1_000, before: 1_000, ..weights::Record::default() };
        let standing = HostStanding::new(1_000, false, proven, &self.genesis.params);
        HostView::new(self.alice, &host, &standing)
    }

    fn status(&self) -> Status {
        Status {
            chain: self.header.chain,
            name: "fake".into(),
            version: "0".into(),
            height: TIP,
            block: self.header.id().0,
            time_ms: 1,
            state_root: self.header.state_root,
            oldest_block: 1,
            epoch: 0,
            phase: "sprint".into(),
            epoch_start: 1,
            blocks_left_in_phase: 11,
            blocks_left_in_epoch: 59,
            synced: true,
            behind_ms: 1,
            peers: 0,
            mempool: MempoolView { transactions: 0, bytes: 0 },
            signing: SigningView::Active,
            address: Some(self.alice),
            uptime_s: 1,
            sprint: SprintStatus::new(&self.race(), 1_000, &self.genesis.params),
            beacon: (&self.beacon()).into(),
            hosts_complete: true,
            hosts: vec![self.host().summary],
        }
    }

    /// A race in which alice has committed and nobody has checked her yet.
    fn race(&self) -> SprintView {
        let race = sprint::Race {
            epoch: Epoch(5),
            rules: self.genesis.params.sprint.clone(),
            seed_height: Height(300),
            started: Some(sprint::Started {
                height: Height(301),
                seed: Digest([0xab; 32]),
                deadline: Height(314),
            }),
            challenged: Some(sprint::Challenged {
                height: Height(315),
                challenge: Digest([0xcd; 32]),
                until: Height(320),
                single_operator: false,
            }),
            drawn: None,
            end: None,
        };
        let totals = RaceTotals { commitments: 1, nonces: 12_345, verdicts_owed: 3, ..RaceTotals::default() };
        let settled =
            sprint::Settled { epoch: Epoch(4), height: Height(280), hosts: 1, proven: 1, weight: 1_000 };
        SprintView::new(Height(316), &race, totals, Some(&settled))
    }

    fn race_hosts(&self) -> SprintHostsView {
        let host = SprintHostView {
            host: self.alice,
            operator: "fake".into(),
            nonces: 12_345,
            devices: vec![],
            void: None,
            committee: vec![MemberView { member: Address([9; 32]), given: false }],
            reveals_due: 0,
            reveals_done: 0,
            demands: vec![],
            trials: vec![],
        };
        let stage = "verdicts".into();
        SprintHostsView { height: 316, epoch: Some(5), stage, hosts: vec![host], next: None }
    }

    fn results(&self) -> SprintResultsView {
        let params = &self.genesis.params;
        let result = sprint::HostResult {
            count: 9_000,
            weight: 1_000,
            void: None,
            committee: 3,
            confirmed: 2,
            owed: 1,
            done: 1,
        };
        let settled =
            sprint::Settled { epoch: Epoch(4), height: Height(280), hosts: 1, proven: 1, weight: 1_000 };
        SprintResultsView {
            height: 316,
            race: Some(SettledView::new(&settled, params)),
            results: vec![SprintResultView::new(self.alice, &result, params)],
            next: None,
        }
    }

    fn beacon(&self) -> BeaconView {
        BeaconView {
            height: 316,
            group: Some(GroupView {
                epoch: 5,
                start: 301,
                key: "8e".repeat(96),
                seats: 16,
                majority: 9,
                holders: vec![SeatsView { validator: self.alice, seats: 16 }],
            }),
            dealing: Some(DealingView {
                epoch: 6,
                stage: "acknowledge".into(),
                start: 342,
                switch: 360,
                holders: 4,
                dealt: 4,
                acknowledged: 2,
            }),
            latest: Some(LatestValue { height: 315, value: Digest([0xee; 32]) }),
        }
    }

    fn value(&self) -> BeaconValueView {
        BeaconValueView {
            height: 1,
            value: Digest([0xee; 32]),
            signature: "9f".repeat(48),
            recorded_in: 2,
            group_epoch: None,
            group_key: None,
        }
    }

    fn account(&self, address: Address) -> AccountView {
        let known = address == self.alice;
        let delegate = Delegate {
            key: SecretKey::from_seed([43; 32]).public(),
            scopes: Scopes::of(&[Scope::Spend]),
            expires: Height(9),
            allowance: Amount(1),
            sequence: 0,
        };
        let sequence = if known { SEQUENCE + self.changing.lock().unwrap().refused } else { 0 };
        AccountView {
            address,
            height: TIP,
            exists: known,
            balance: if known { Amount::fwy(900) } else { Amount::ZERO },
            sequence,
            committed_sequence: sequence,
            delegates: if known { vec![DelegateView::new(&delegate, 0)] } else { vec![] },
            quota: QuotaView {
                limit: 64,
                period: "block".into(),
                used: 0,
                used_in_epoch: 0,
                basis: Amount::ZERO,
            },
            host: known.then(|| self.host()),
        }
    }

    fn proof(&self, address: Address) -> ProofView {
        let asked = if self.changing.lock().unwrap().lies { Address([9; 32]) } else { address };
        let proof = self.store.prove(Height(TIP - 1), &ACCOUNTS.key(&asked)).unwrap();
        ProofView {
            height: TIP - 1,
            root: self.header.state_root,
            key: hex::encode(ACCOUNTS.key(&address)),
            value: None,
            proof: hex::encode(proof.encode()),
            header: Some(hex::encode(self.header.encode())),
            certificate: Some(hex::encode(self.certificate.encode())),
        }
    }

    fn block(&self) -> BlockView {
        BlockView {
            id: self.header.id().0,
            header: (&self.header).into(),
            bytes: 400,
            parent_certificate: None,
            certificate: (&self.certificate).into(),
            transactions: vec![],
            events: vec![],
        }
    }

    fn submit(&self, body: &[u8]) -> Answer {
        let request: SubmitRequest = serde_json::from_slice(body).unwrap();
        let bytes = hex::decode(request.transaction.unwrap()).unwrap();
        let transaction = Transaction::parse(&bytes, &self.header.chain).unwrap();
        let mut changing = self.changing.lock().unwrap();
        if self.fate == Fate::OvertakenOnce && changing.refused == 0 {
            changing.refused = 1;
            return error(422, "sequence_used", "sequence 7 was already used; the next one of this key is 8");
        }
        let hash = transaction.hash();
        changing.last = Some(transaction);
        ok(&SubmitView { hash })
    }

    fn event(&self, height: u64) -> String {
        let (available, needed) = (Amount::fwy(1), Amount::fwy(5));
        let failure = accounts::Failure::InsufficientBalance { available, needed };
        let outcome = match self.fate {
            Fate::Done | Fate::OvertakenOnce => Some(Outcome::Done),
            Fate::Failed => Some(Outcome::Failed(failure.into())),
            Fate::Ignored => None,
        };
        let last = self.changing.lock().unwrap().last.clone().filter(|_| height == LAST);
        let receipt = last.zip(outcome).map(|(transaction, outcome)| {
            ReceiptView::from(&Receipt { transaction: transaction.hash(), outcome, events: vec![] })
        });
        let event = BlockEvent {
            height,
            id: Digest::ZERO,
            time_ms: height,
            epoch: 0,
            phase: "sprint".into(),
            transactions: receipt.into_iter().collect(),
            events: vec![],
        };
        format!("event: block\nid: {height}\ndata: {}\n\n", serde_json::to_string(&event).unwrap())
    }
}

fn ok(value: &impl Serialize) -> Answer {
    (200, "application/json", serde_json::to_string(value).unwrap())
}

fn error(status: u16, code: &str, message: &str) -> Answer {
    let body = json!({ "error": { "code": code, "message": message } });
    (status, "application/json", body.to_string())
}
