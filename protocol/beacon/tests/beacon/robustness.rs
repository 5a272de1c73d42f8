//! Bytes from others: decoded exactly or refused, never with a panic, and never accepted after a change.

use std::sync::OnceLock;

use freeway_beacon::{Acks, Dealing, Group, Log, Partials, Seats, Value};
use freeway_primitives::Canonical;
use proptest::prelude::*;

use crate::kit::*;

/// One encoding of each type.
struct Samples {
    net: Net,
    finished: Finished,
    dealing: Vec<u8>,
    acks: Vec<u8>,
    log: Vec<u8>,
    group: Vec<u8>,
    partials: Vec<u8>,
    value: Vec<u8>,
}

fn samples() -> &'static Samples {
    static SAMPLES: OnceLock<Samples> = OnceLock::new();
    SAMPLES.get_or_init(|| {
        let net = Net::new(&[2, 1, 1], 4);
        let board = net.board(&net.dealings(&net.everybody()));
        let acks = net.acks(&board, &[0])[&net.address(0)].encode();
        let finished = net.finish();
        let log = [&[1; 32][..], &1u32.to_le_bytes(), &[3; 33], &[0; 64]].concat();
        Samples {
            dealing: net.deal(0).encode(),
            acks,
            log,
            group: finished.group.encode(),
            partials: finished.shares[0].sign(HEIGHT).encode(),
            value: finished.value(HEIGHT, &[0, 1, 2]).encode(),
            net,
            finished,
        }
    })
}

/// Decodes as every type, and uses what comes out of it.
fn use_all(bytes: &[u8]) {
    fn exact<T: Canonical>(bytes: &[u8]) -> Option<T> {
        let value = T::decode(bytes).ok()?;
        assert_eq!(value.encode(), bytes);
        assert!(bytes.len() <= T::MAX_BYTES);
        Some(value)
    }
    let Samples { net, finished, .. } = samples();
    let (me, round) = (net.address(0), &net.round);
    exact::<Seats>(bytes);
    if let Some(dealing) = exact::<Dealing>(bytes) {
        let same = dealing.encode() == samples().dealing;
        assert_eq!(round.check_dealing(&me, &dealing).is_ok(), same);
        let board = net.board(&[(me, dealing)].into());
        assert!(board.acknowledge(&net.keys[1], &net.address(1)).is_ok());
    }
    if let Some(acks) = exact::<Acks>(bytes) {
        assert_eq!(round.check_acks(&me, &acks).is_ok(), bytes == samples().acks);
    }
    if let Some(log) = exact::<Log>(bytes) {
        assert!(round.check_log(&me, &net.deal(0), &log).is_err());
    }
    if let Some(group) = exact::<Group>(bytes) {
        let _ = group.open(&CHAIN);
        let _ = group.verify(&CHAIN, HEIGHT, &Value([1; 48]));
    }
    if let Some(partials) = exact::<Partials>(bytes) {
        let verified = finished.committee.verify_partials(HEIGHT, &[(me, &partials)]).is_ok();
        assert!(!verified || bytes == samples().partials || partials.seats().count() < 2);
    }
    if let Some(value) = exact::<Value>(bytes) {
        assert_eq!(finished.group.verify(&CHAIN, HEIGHT, &value).is_ok(), bytes == samples().value);
    }
}

fn sample(which: usize) -> &'static [u8] {
    let samples = samples();
    let all =
        [&samples.dealing, &samples.acks, &samples.log, &samples.group, &samples.partials, &samples.value];
    all[which % all.len()]
}

#[test]
fn samples_are_what_they_say() {
    (0..6).for_each(|which| use_all(sample(which)));
}

/// The table of the crate's manual.
#[test]
fn sizes_are_the_documented_ones() {
    for (validators, seats, dealing, group) in [(4, 16, 1_496, 1_156), (100, 128, 10_456, 12_772)] {
        let net = Net::new(&vec![1; validators], seats);
        assert_eq!(net.deal(0).encode().len(), dealing);
        // Epoch, seats, dealers, coefficients.
        let coefficients = 4 + usize::from(net.round.seats().majority()) * 96;
        assert_eq!(8 + net.round.seats().encode().len() + 16 + coefficients, group);
    }
    assert_eq!(samples().partials.len(), 4 + 2 * 49);
    let bounds = [Dealing::MAX_BYTES, Log::MAX_BYTES, Group::MAX_BYTES, Partials::MAX_BYTES];
    assert_eq!(bounds, [20_568, 4_291, 20_640, 12_499]);
}

#[test]
fn bounds_are_the_largest_encodings() {
    let net = Net::new(&[1; 128], 255);
    let dealing = net.deal(0);
    assert_eq!(dealing.encode().len(), Dealing::MAX_BYTES);
    let full = [&[0; 36][..], &[0; 127 * 33 + 64]].concat();
    assert_eq!(full.len(), Log::MAX_BYTES);
    assert_eq!(samples().acks.len(), Acks::MAX_BYTES);
    assert_eq!(samples().value.len(), Value::MAX_BYTES);
    let group = samples().group.len() - samples().net.round.seats().encode().len() - 3 * 96;
    assert_eq!(group + Seats::MAX_BYTES + 128 * 96, Group::MAX_BYTES);
    assert!(Dealing::decode(&vec![0; Dealing::MAX_BYTES + 1]).is_err());
    // A length that promises more than there is.
    assert!(Dealing::decode(&[0xff; 600]).is_err());
    assert!(Partials::decode(&[0xff; 600]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_flipped_bit_is_noticed(which in 0usize..6, at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut bytes = sample(which).to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        use_all(&bytes);
    }

    #[test]
    fn a_cut_is_noticed(which in 0usize..6, at in any::<prop::sample::Index>(), more in proptest::collection::vec(any::<u8>(), 0..40)) {
        let bytes = sample(which);
        let cut = &bytes[..at.index(bytes.len())];
        use_all(cut);
        use_all(&[cut, &more].concat());
    }

    #[test]
    fn any_bytes_are_harmless(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        use_all(&bytes);
    }
}
