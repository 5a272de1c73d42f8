//! The float reference and the exact engine are the same model.

use freeway_inference::quality::{QualityError, float_logits, report};

use super::*;

fn recipes() -> [Recipe; 4] {
    [Recipe::llama(), stretched(), Recipe::qwen2(), Recipe::qwen3()]
}

#[test]
fn the_exact_model_is_near_the_float_model() {
    for recipe in recipes() {
        let source = recipe.source();
        let model = load(&recipe.package(Group::G32).unwrap(), Backend::best(), 2);
        let tokens = text(&model, 11, 300);
        let report = report(&source, &model, &tokens).unwrap();
        assert!(report.tokens > 290);
        // Random models hold many tokens for about equally likely, so that the first of them is soon another.
        let ratio = report.perplexity_exact / report.perplexity_float;
        assert!((0.98..1.02).contains(&ratio), "{report:?}");
        assert!(report.top1_agreement > 0.85, "{report:?}");
    }
}

#[test]
fn parts_of_a_text_are_alone() {
    let recipe = Recipe::qwen3();
    let source = recipe.source();
    let model = load(&recipe.package(Group::G32).unwrap(), Backend::best(), 2);
    let tokens = text(&model, 12, 40);
    let collect = |texts: &[&[u32]]| {
        let mut all = Vec::new();
        float_logits(&source, model.pool(), texts, |text, position, logits| {
            all.push((text, position, logits.to_vec()));
        })
        .unwrap();
        all
    };
    let both = collect(&[&tokens[..25], &tokens[25..]]);
    assert_eq!(both[..25], collect(&[&tokens[..25]]));
    let second: Vec<_> =
        collect(&[&tokens[25..]]).into_iter().map(|(_, at, logits)| (1, at, logits)).collect();
    assert_eq!(both[25..], second);
}

#[test]
fn what_cannot_be_compared_is_said() {
    let source = Recipe::llama().source();
    let model = load(&Recipe::llama().package(Group::G32).unwrap(), Backend::best(), 1);
    assert!(matches!(report(&source, &model, &[1]), Err(QualityError::Short(1))));
    assert!(matches!(report(&source, &model, &[1, u32::MAX]), Err(QualityError::Text(_))));
    let wider = Recipe { hidden: Recipe::llama().hidden + 64, ..Recipe::llama() };
    assert!(matches!(report(&wider.source(), &model, &[1, 2]), Err(QualityError::Other("the hidden width"))));
}
