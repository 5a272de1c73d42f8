//! The registry of models, and who serves what.

use freeway_ledger::models::{
    Description, Event, MAX_ALLOWANCE, MAX_GAP, MAX_NAME_BYTES, MAX_RATE, MAX_SIZE, MAX_WORK, Tier, model,
    models, named, serves, serving, uses,
};
use freeway_ledger::{Event as AnyEvent, Failure, vaults};
use freeway_primitives::{Amount, Digest};
use freeway_proofs::work::Prices;
use freeway_requests::evidence::Noise;

use crate::kit::*;
use crate::paying::*;

const OTHER: Digest = Digest([0x44; 32]);

/// Why a message fails.
#[track_caller]
fn code(
    chain: &mut Chain,
    key: &freeway_primitives::SecretKey,
    message: freeway_ledger::Message,
) -> &'static str {
    let transaction = chain.tx(key, message);
    chain.fails(&transaction).code()
}

#[test]
fn a_model_is_registered_under_a_bond_that_comes_back() {
    let mut chain = Chain::new(1, 1);
    let bond = quick().models.bond;
    chain.done(&chain.tx(&user(0), register_model(OTHER, description("m.1_a-b"))));
    assert_eq!(chain.balance(&user(0)), minus(WEALTH, bond));
    assert_eq!(vaults(&chain.state).unwrap().bonds, bond);
    let (root, found) = named(&chain.state, &text("m.1_a-b")).unwrap().unwrap();
    assert_eq!((root, found.by, found.prices, found.tier), (OTHER, address(&user(0)), PRICES, Tier::Exact));
    assert_eq!(models(&chain.state, None, 10).unwrap(), [(OTHER, found)]);

    let outcome = chain.done(&chain.tx(&user(0), retire(OTHER)));
    assert_eq!(events(&outcome).last(), Some(&AnyEvent::Models(Event::Retired { root: OTHER })));
    assert_eq!((chain.balance(&user(0)), vaults(&chain.state).unwrap().bonds), (WEALTH, Amount::ZERO));
    assert_eq!(model(&chain.state, &OTHER).unwrap(), None);
    assert_eq!(named(&chain.state, &text("m.1_a-b")).unwrap(), None);
    // Root and name are free again.
    chain.done(&chain.tx(&user(0), register_model(OTHER, description("m.1_a-b"))));
}

#[test]
fn what_a_model_says_of_itself_is_within_bounds() {
    let mut chain = Chain::new(1, 1);
    let long = "a".repeat(MAX_NAME_BYTES + 1);
    for name in ["", "A", "a b", "a/b", "ä", "a\u{e000}", long.as_str()] {
        let description = description(name);
        assert_eq!(
            code(&mut chain, &user(0), register_model(OTHER, description)),
            "invalid_name",
            "{name:?}"
        );
    }
    let sound = description("m");
    for (context, vocabulary, work) in
        [(0, 1, 1), (1, 0, 1), (1, 1, 0), (MAX_SIZE + 1, 1, 1), (1, MAX_SIZE + 1, 1), (1, 1, MAX_WORK + 1)]
    {
        let description = freeway_ledger::models::Description { context, vocabulary, work, ..sound.clone() };
        assert_eq!(code(&mut chain, &user(0), register_model(OTHER, description)), "invalid_size");
    }
    let floor = quick().pricing.floor;
    for prices in [
        Prices { input: floor.input - 1, ..PRICES },
        Prices { cached: floor.cached - 1, ..PRICES },
        Prices { output: floor.output - 1, ..PRICES },
        Prices { output: u64::MAX, ..PRICES },
    ] {
        let description = freeway_ledger::models::Description { prices, ..sound.clone() };
        assert_eq!(code(&mut chain, &user(0), register_model(OTHER, description)), "invalid_prices");
    }
    let name = "a".repeat(MAX_NAME_BYTES);
    let most = freeway_ledger::models::Description {
        context: MAX_SIZE,
        vocabulary: MAX_SIZE,
        work: MAX_WORK,
        prices: floor,
        ..description(&name)
    };
    chain.done(&chain.tx(&user(0), register_model(OTHER, most)));
}

/// Verifiers judge by what stands here, so nobody can register a noise in which every cheat would be lost.
#[test]
fn noise_belongs_to_the_statistical_tier_and_is_bounded() {
    let mut chain = Chain::new(1, 1);
    let sound = measured("m");
    let noise = sound.noise.unwrap();
    let [some, much, less] = noise.allowance;
    let over = MAX_ALLOWANCE + 1;
    for (tier, noise) in [
        (Tier::Exact, noise),
        (Tier::Exact, Noise::default()),
        (Tier::Statistical, Noise { gap: MAX_GAP + 1, ..noise }),
        (Tier::Statistical, Noise { rate: MAX_RATE + 1, ..noise }),
        (Tier::Statistical, Noise { allowance: [over, much, less], ..noise }),
        (Tier::Statistical, Noise { allowance: [some, over, less], ..noise }),
        (Tier::Statistical, Noise { allowance: [some, much, over], ..noise }),
        (Tier::Statistical, Noise { gap: u32::MAX, rate: u32::MAX, allowance: [u32::MAX; 3] }),
    ] {
        let description = Description { tier, noise: Some(noise), ..sound.clone() };
        let said = code(&mut chain, &user(0), register_model(OTHER, description));
        assert_eq!(said, "invalid_noise", "{tier:?} {noise:?}");
    }
    assert_eq!(model(&chain.state, &OTHER).unwrap(), None);

    let most = Noise { gap: MAX_GAP, rate: MAX_RATE, allowance: [MAX_ALLOWANCE; 3] };
    for (at, noise) in [Some(noise), Some(most), None].into_iter().enumerate() {
        let (root, name) = (Digest([0x50 + at as u8; 32]), format!("m-{at}"));
        let description = Description { noise, name: text(&name), ..sound.clone() };
        chain.done(&chain.tx(&user(0), register_model(root, description)));
        let kept = model(&chain.state, &root).unwrap().unwrap();
        assert_eq!((kept.noise, kept.noise()), (noise, noise.unwrap_or_default()));
    }
}

#[test]
fn roots_and_names_belong_to_one_model_and_models_are_bounded() {
    let mut params = quick();
    params.models.max_models = 2;
    let mut chain = Chain::of(&genesis(params, &[WEIGHT], 2));
    chain.done(&chain.tx(&user(0), register_model(OTHER, description("m"))));
    assert_eq!(code(&mut chain, &user(1), register_model(OTHER, description("n"))), "already_registered");
    assert_eq!(code(&mut chain, &user(1), register_model(MODEL, description("m"))), "name_taken");
    chain.done(&chain.tx(&user(1), register_model(MODEL, description("n"))));
    assert_eq!(code(&mut chain, &user(1), register_model(Digest::ZERO, description("o"))), "too_many_models");
    chain.done(&chain.tx(&user(1), retire(MODEL)));
    chain.done(&chain.tx(&user(1), register_model(Digest::ZERO, description("n"))));
}

#[test]
fn a_model_without_the_means_is_not_registered() {
    let mut chain = Chain::new(1, 1);
    chain.done(&chain.tx(&user(0), pay(address(&stranger(0)), Amount(1_000_000))));
    assert_eq!(
        code(&mut chain, &stranger(0), register_model(OTHER, description("m"))),
        "insufficient_balance"
    );
}

#[test]
fn only_its_registrant_retires_a_model_and_only_one_that_nobody_uses() {
    let mut market = Market::new(2);
    assert_eq!(code(&mut market.chain, &user(0), retire(OTHER)), "unknown_model");
    assert_eq!(code(&mut market.chain, &user(1), retire(MODEL)), "not_the_registrant");
    assert_eq!(code(&mut market.chain, &user(0), retire(MODEL)), "model_in_use");
    let lane = market.open(opened(ESCROW, 2));
    assert_eq!(uses(&market.chain.state, &MODEL).unwrap(), 1);
    for i in 0..2 {
        market.chain.done(&market.tx(&owner(i), serve(&[])));
    }
    // A lane is open for it still.
    assert_eq!(code(&mut market.chain, &user(0), retire(MODEL)), "model_in_use");
    market.chain.done(&market.tx(&user(0), close(lane)));
    let grace = quick().lanes.grace_blocks;
    market.chain.skip_to(market.chain.height.0 + grace + 1);
    assert_eq!(uses(&market.chain.state, &MODEL).unwrap(), 0);
    market.chain.done(&market.tx(&user(0), retire(MODEL)));
}

#[test]
fn a_host_serves_registered_models_each_once_and_not_too_many() {
    let mut params = quick();
    params.models.max_served = 2;
    let mut chain = Chain::of(&genesis(params, &[WEIGHT, WEIGHT], 1));
    let roots = [MODEL, OTHER, Digest::ZERO];
    for (root, name) in roots.iter().zip(["m", "n", "o"]) {
        chain.done(&chain.tx(&user(0), register_model(*root, description(name))));
    }
    assert_eq!(code(&mut chain, &user(0), serve(&[MODEL])), "not_a_host");
    assert_eq!(code(&mut chain, &owner(0), serve(&roots)), "too_many_served");
    assert_eq!(code(&mut chain, &owner(0), serve(&[MODEL, MODEL])), "repeated_model");
    assert_eq!(code(&mut chain, &owner(0), serve(&[Digest([9; 32])])), "unknown_model");
    chain.done(&chain.tx(&owner(0), serve(&[MODEL, OTHER])));
    let since = chain.height;
    // Its consensus key does that, too.
    chain.done(&chain.tx_for(&vote_key(1), host(1), serve(&[OTHER])));
    chain.done(&chain.tx(&owner(0), serve(&[OTHER, Digest::ZERO])));
    let at = |i, root| serves(&chain.state, &host(i), &root).unwrap();
    assert_eq!((at(0, MODEL), at(0, OTHER), at(0, Digest::ZERO)), (None, Some(since), Some(chain.height)));
    assert_eq!(serving(&chain.state, &MODEL, None, 9).unwrap(), []);
    let mut both = vec![(host(0), since), (host(1), since.next())];
    both.sort_unstable();
    assert_eq!(serving(&chain.state, &OTHER, None, 9).unwrap(), both);
    assert_eq!(serving(&chain.state, &OTHER, Some(both[0].0), 9).unwrap(), [both[1]]);
}

#[test]
fn who_leaves_or_is_removed_serves_nothing() {
    let mut market = Market::new(4);
    let everybody = |market: &Market| serving(&market.chain.state, &MODEL, None, 9).unwrap().len();
    assert_eq!(everybody(&market), 4);
    market.chain.done(&market.tx(&owner(0), leave()));
    assert_eq!(code(&mut market.chain, &owner(0), serve(&[])), "not_a_host");
    market.chain.switch();
    assert_eq!(everybody(&market), 3);
    let proof = market.chain.double_vote(1, market.chain.height);
    let outcome = market.chain.done(&market.tx(&user(0), report(proof)));
    let nothing = AnyEvent::Models(Event::Serving { host: host(1), models: Vec::new() });
    assert!(events(&outcome).contains(&nothing));
    assert_eq!(everybody(&market), 2);
    assert!(matches!(
        market.chain.fails(&market.tx(&owner(1), serve(&[MODEL]))),
        Failure::Models(freeway_ledger::models::Failure::NotAHost)
    ));
}
