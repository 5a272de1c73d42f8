//! A validator whose guard is closed follows the real engine's network, and votes when the guard opens.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use freeway_consensus::engine::{EngineConfig, run};
use freeway_consensus::parts::Opening;
use freeway_consensus::{Application, Decided, Fatal, HeightPlan, Judged, Signing, SigningGuard, Timing};
use freeway_primitives::{
    Address, BlockId, Certificate, ChainId, Digest, Domain, Equivocation, Height, SecretKey, Validator,
    ValidatorSet,
};
use tokio::sync::watch;

const TOY: Domain = Domain::new("freeway test toy block");
const CHAIN: ChainId = ChainId(Digest([4; 32]));

/// A chain of blocks that say nothing, in memory.
struct Toy {
    set: ValidatorSet,
    known: BTreeMap<BlockId, (Opening, Bytes)>,
    decided: Arc<Mutex<BTreeMap<Height, (Bytes, Certificate)>>>,
}

fn id(block: &[u8]) -> BlockId {
    BlockId(Digest::of(TOY, block))
}

impl Toy {
    fn head(&self) -> Height {
        self.decided.lock().unwrap().last_key_value().map_or(Height::GENESIS, |(height, _)| *height)
    }
}

impl Application for Toy {
    fn plan(&mut self) -> Result<HeightPlan, Fatal> {
        let ms = Duration::from_millis;
        let timing = Timing { target: ms(200), propose: ms(1_000), vote: ms(400) };
        Ok(HeightPlan { height: self.head().next(), validators: self.set.clone(), silent: vec![], timing })
    }

    fn propose(&mut self, opening: Opening) -> Result<(BlockId, Bytes), Fatal> {
        let bytes = Bytes::from(format!("{}/{} by {}", opening.height, opening.round, opening.proposer));
        self.known.insert(id(&bytes), (opening, bytes.clone()));
        Ok((id(&bytes), bytes))
    }

    fn judge(&mut self, opening: Opening, block: Bytes, _: bool) -> Result<Judged, Fatal> {
        self.known.insert(id(&block), (opening, block.clone()));
        Ok(Judged { block: id(&block), opening, valid: true })
    }

    fn known(&mut self, _: Height) -> Result<Vec<Judged>, Fatal> {
        Ok(Vec::new())
    }

    fn bytes(&mut self, _: Height, block: BlockId) -> Result<Option<Bytes>, Fatal> {
        Ok(self.known.get(&block).map(|(_, bytes)| bytes.clone()))
    }

    fn decided(&mut self, certificate: &Certificate) -> Result<Decided, Fatal> {
        let Some((_, bytes)) = self.known.get(&certificate.block) else { return Ok(Decided::Unknown) };
        self.decided.lock().unwrap().insert(certificate.height, (bytes.clone(), certificate.clone()));
        Ok(Decided::Committed)
    }

    fn finalized(&mut self, certificate: &Certificate, _: Vec<Equivocation>) -> Result<Decided, Fatal> {
        self.decided(certificate)
    }

    fn is_current(&mut self) -> Result<bool, Fatal> {
        Ok(self.head() >= Height(5))
    }

    fn history(&mut self, from: Height, count: usize, _: usize) -> Result<Vec<(Bytes, Certificate)>, Fatal> {
        let decided = self.decided.lock().unwrap();
        Ok(decided.range(from..).take(count).map(|(_, block)| block.clone()).collect())
    }

    fn oldest(&mut self) -> Result<Height, Fatal> {
        Ok(Height::FIRST)
    }
}

fn port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guarded_validator_follows_first_and_votes_then() {
    let keys = [SecretKey::from_seed([1; 32]), SecretKey::from_seed([2; 32])];
    let address = |key: &SecretKey| Address::of(&key.public());
    let powers = [90, 10];
    let members = keys.iter().zip(powers);
    let set: Vec<Validator> =
        members.map(|(key, power)| Validator { address: address(key), key: key.public(), power }).collect();
    let set = ValidatorSet::new(set).unwrap();
    let ports = [port(), port()];
    let directory = std::env::temp_dir().join(format!("freeway-guarded-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (stop, stopped) = watch::channel(false);
    let chains = [Arc::default(), Arc::default()];
    let guards = [SigningGuard::open(), SigningGuard::closed()];
    let mut tasks = Vec::new();
    for number in 0..2 {
        let config = EngineConfig {
            moniker: format!("node {number}"),
            listen: ports[number],
            peers: vec![ports[1 - number]],
            only_peers: false,
            wal: directory.join(format!("{number}.wal")),
            status_interval: Duration::from_secs(1),
        };
        let toy = Toy { set: set.clone(), known: BTreeMap::new(), decided: Arc::clone(&chains[number]) };
        let signing = Signing::new(CHAIN, keys[number].clone(), guards[number].clone());
        let (key, stopped) = (keys[number].clone(), stopped.clone());
        tasks.push(tokio::spawn(async move {
            run(config, toy, address(&key), &key, CHAIN, Some(signing), stopped).await
        }));
    }
    let guarded = address(&keys[1]);
    let signs = || {
        let chain = chains[0].lock().unwrap();
        let first = chain.values().find(|(_, certificate): &&(Bytes, Certificate)| {
            certificate.signatures.iter().any(|commit| commit.validator == guarded)
        });
        first.map(|(_, certificate)| certificate.height)
    };
    for _ in 0..1_800 {
        assert!(tasks.iter().all(|task| !task.is_finished()), "a node stopped");
        if signs().is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let first = signs().expect("the guarded validator votes again within three minutes");
    assert!(first > Height(5), "it signed {first} before its guard could open");
    stop.send(true).unwrap();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    std::fs::remove_dir_all(directory).unwrap();
}
