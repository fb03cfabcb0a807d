//! Comparison of explanation methods: means over texts against the faithfulness of each text on its own.

use distilbert::explain::{ExplainOptions, Faithfulness, Method, Objective, Replacement};
use distilbert::{Classifier, ExplainError, InputError, Precision, Truncation};
use distilbert_evaluate::{
    ComparisonOptions, Error, Estimate, MethodComparison, Ranking, compare_methods,
};
use test_support::{bundled_model, golden, list};

const INTEGRATED: Method = Method::IntegratedGradients { steps: 4 };

type Measure<T> = (&'static str, fn(&Faithfulness<T>) -> T);

fn measures<T: Copy>() -> [Measure<T>; 5] {
    [
        ("auac", |found| found.auac),
        ("most_relevant_first", |found| found.most_relevant_first),
        ("au_mse", |found| found.au_mse),
        ("comprehensiveness", |found| found.comprehensiveness),
        ("sufficiency", |found| found.sufficiency),
    ]
}

fn classifier() -> Classifier {
    Classifier::builder(bundled_model()).build().unwrap()
}

/// Returns texts of the goldens, some of which have no word or only one.
fn texts(step: usize) -> Vec<String> {
    let goldens = golden("bundled.json");
    let cases = list(&goldens["cases"]).iter().step_by(step);
    let texts = cases.map(|case| case["text"].as_str().unwrap().to_owned());
    texts.filter(|text| text.len() < 300).collect()
}

fn of(comparison: &MethodComparison, wanted: Ranking) -> Faithfulness<Estimate> {
    let found = comparison.means().into_iter().find(|&(ranking, _)| ranking == wanted);
    found.unwrap().1
}

#[track_caller]
fn assert_close(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-9 * (1.0 + expected.abs()), "{found}, {expected}");
}

#[test]
fn means_match_single_texts() {
    let classifier = classifier();
    let texts = texts(16);
    for (replacement, objective) in
        [(Replacement::Pad, Objective::Logit), (Replacement::Delete, Objective::Probability)]
    {
        let methods = [INTEGRATED, Method::GradientXInput, Method::AttnLrp, Method::Lrp];
        let rankings = [Ranking::Rollout].into_iter().chain(methods.map(Ranking::Method));
        let options = ComparisonOptions::default().rankings(rankings);
        let options = options.replacement(replacement).objective(objective).resamples(10);
        let comparison = compare_methods(&classifier, &texts, &options).unwrap();

        let explanations = |method| {
            let explain =
                ExplainOptions::default().method(method).objective(objective).attention(true);
            let explanations = texts.iter().map(move |text| (text, explain.clone()));
            let explanations = explanations.map(|(text, e)| classifier.explain(text, &e).unwrap());
            explanations.filter(|explanation| explanation.words().len() > 1)
        };
        assert_eq!(comparison.texts(), explanations(Method::Lrp).count());
        let check = |ranking, alone: Vec<Faithfulness>| {
            let found = of(&comparison, ranking);
            for ((_, mean), (name, value)) in measures::<Estimate>().into_iter().zip(measures()) {
                println!("{ranking} {name}");
                let sum: f64 = alone.iter().map(value).sum();
                assert_close(mean(&found).value, sum / alone.len() as f64);
            }
        };
        for method in methods {
            let alone = explanations(method)
                .map(|own| classifier.faithfulness(&own, None, replacement).unwrap());
            check(method.into(), alone.collect());
        }
        let alone = explanations(Method::Lrp).map(|own| {
            let rollout = own.by_word(&own.attention().unwrap().rollout()).unwrap();
            classifier.faithfulness(&own, Some(&rollout), replacement).unwrap()
        });
        check(Ranking::Rollout, alone.collect());
    }
}

/// The mean over many random orders converges to the mean over all orders.
#[test]
fn random_ranking_converges_to_mean_over_orders() {
    let classifier = classifier();
    let text = "I miss him";
    let explanation = classifier.explain(text, &ExplainOptions::default()).unwrap();
    let orders = [[1.0, 2.0, 3.0], [1.0, 3.0, 2.0], [2.0, 1.0, 3.0]];
    let orders = orders.iter().flat_map(|order| [*order, [order[2], order[1], order[0]]]);
    let all: Vec<Faithfulness> = orders
        .map(|o| classifier.faithfulness(&explanation, Some(&o), Replacement::Pad).unwrap())
        .collect();
    let options = ComparisonOptions::default().rankings([Ranking::Random]);
    let many = options.clone().random_orders(4000);
    let many = of(&compare_methods(&classifier, [text], &many).unwrap(), Ranking::Random);
    for ((_, found), (name, value)) in measures::<Estimate>().into_iter().zip(measures()) {
        let mean = all.iter().map(value).sum::<f64>() / 6.0;
        let variance = all.iter().map(|of| (value(of) - mean).powi(2)).sum::<f64>() / 6.0;
        let error = (found(&many).value - mean).abs();
        assert!(error <= 4.0 * (variance / 4000.0).sqrt() + 1e-9, "{name}: {error}");
    }

    // A single order is one of the six; the seed determines which.
    let one = |seed| {
        let options = options.clone().random_orders(1).seed(seed);
        of(&compare_methods(&classifier, [text], &options).unwrap(), Ranking::Random)
    };
    let found: Vec<f64> = (0..12).map(|seed| one(seed).auac.value).collect();
    for &auac in &found {
        assert!(all.iter().any(|of| of.auac == auac), "{auac}");
    }
    assert!(found.iter().any(|&auac| auac != found[0]), "every seed gives the same order");
}

#[test]
fn differences_are_paired_by_text() {
    let classifier = classifier();
    let (lrp, gradient) = (Method::Lrp.into(), Method::GradientXInput.into());
    let options = ComparisonOptions::default().rankings([lrp, gradient]);
    let comparison = compare_methods(&classifier, texts(8), &options).unwrap();
    let difference = comparison.difference(lrp, gradient).unwrap();
    let opposite = comparison.difference(gradient, lrp).unwrap();
    let (lrp_means, gradient_means) = (of(&comparison, lrp), of(&comparison, gradient));
    for (name, of) in measures::<Estimate>() {
        let (difference, opposite) = (of(&difference), of(&opposite));
        assert_close(difference.value, of(&lrp_means).value - of(&gradient_means).value);
        for (one, other) in [
            (difference.value, opposite.value),
            (difference.low, opposite.high),
            (difference.high, opposite.low),
        ] {
            assert_close(one, -other);
        }
        assert!(difference.low < difference.value && difference.value < difference.high, "{name}");
    }
    // The text's own score is part of both measures and cancels in the difference.
    let width = |of: Estimate| of.high - of.low;
    assert!(width(difference.auac) < width(lrp_means.auac) + width(gradient_means.auac));
    assert_eq!(comparison.difference(lrp, Ranking::Random), None);
    let own = comparison.difference(lrp, lrp).unwrap().auac;
    assert_eq!((own.value, own.low, own.high), (0.0, 0.0, 0.0));
}

#[test]
fn seed_determines_the_result() {
    let texts = texts(24);
    let compare = |threads: usize, seed: u64| {
        let classifier = Classifier::builder(bundled_model()).threads(threads).build().unwrap();
        let rankings = [Method::Lrp.into(), Ranking::Random];
        let options = ComparisonOptions::default().rankings(rankings).seed(seed).resamples(200);
        compare_methods(&classifier, &texts, &options).unwrap()
    };
    let found = compare(1, 5);
    assert_eq!(found, compare(2, 5));
    let other = compare(2, 6);
    let lrp = Method::Lrp.into();
    assert_eq!(of(&found, lrp).auac.value, of(&other, lrp).auac.value);
    assert_ne!(of(&found, lrp).auac.low, of(&other, lrp).auac.low);
    assert_ne!(of(&found, Ranking::Random).auac.value, of(&other, Ranking::Random).auac.value);
}

#[test]
fn skips_short_texts_and_truncates_long_ones() {
    let classifier = classifier();
    let long = format!("I love it {}", "so ".repeat(600));
    let given = ["", "no", "We won", " \t ", long.as_str(), "ok"];
    let options = ComparisonOptions::default().rankings([Method::Lrp.into()]).resamples(100);
    let comparison = compare_methods(&classifier, given, &options).unwrap();
    assert_eq!(comparison.texts(), 2);
    assert_eq!((comparison.without_words(), comparison.of_one_word()), (2, 2));
    assert_eq!(comparison.truncated(), 1);
    let cut = compare_methods(&classifier, [&long[..]], &options).unwrap();
    let short = compare_methods(&classifier, ["We won"], &options).unwrap();
    let mean = [cut, short].map(|found| found.means()[0].1.auac.value).iter().sum::<f64>() / 2.0;
    assert_close(comparison.means()[0].1.auac.value, mean);

    let strict = Classifier::builder(bundled_model()).truncation(Truncation::Error);
    let error = compare_methods(&strict.build().unwrap(), given, &options).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Model(distilbert::Error::Input(InputError::TooManyTokens { row: 4, .. }))
        ),
        "{error}"
    );
}

#[test]
fn rejects_invalid_options_and_texts() {
    let classifier = classifier();
    let refused = |texts: &[&str], options: ComparisonOptions| {
        compare_methods(&classifier, texts, &options).unwrap_err()
    };
    let options = ComparisonOptions::default();
    let error = refused(&["We won"], options.clone().rankings([]));
    assert!(matches!(error, Error::NoMethods), "{error}");
    let error = refused(&["We won"], options.clone().resamples(0));
    assert!(matches!(error, Error::NoResamples), "{error}");
    let error = refused(&["We won"], options.clone().resamples(usize::MAX));
    assert!(matches!(error, Error::TooMany { what: "resamples", .. }), "{error}");
    let error = refused(&["We won"], options.clone().random_orders(usize::MAX));
    assert!(matches!(error, Error::TooMany { what: "random orders", .. }), "{error}");
    let error = refused(&["We won"], options.clone().random_orders(0));
    assert!(matches!(error, Error::NoRandomOrders), "{error}");
    let no_steps = Method::IntegratedGradients { steps: 0 }.into();
    let error = refused(&["We won"], options.clone().rankings([no_steps]));
    assert!(
        matches!(error, Error::Model(distilbert::Error::Explain(ExplainError::NoSteps))),
        "{error}"
    );
    for texts in [&["", "no"][..], &[]] {
        let error = refused(texts, options.clone());
        assert!(
            matches!(error, Error::NoRankedText { texts: found } if found == texts.len()),
            "{error}"
        );
    }
    let int8 = Classifier::builder(bundled_model()).precision(Precision::Int8).build().unwrap();
    let error = compare_methods(&int8, ["We won"], &options).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Model(distilbert::Error::Explain(ExplainError::NoBackwardPass { .. }))
        ),
        "{error}"
    );
}

/// Requires GoEmotions: set `GOEMOTIONS` to a folder that contains `dev.tsv`.
#[test]
fn methods_are_better_than_chance_on_real_texts() {
    let Some(folder) = std::env::var_os("GOEMOTIONS") else {
        println!("skipped: GOEMOTIONS is not set");
        return;
    };
    let data = std::fs::read_to_string(std::path::Path::new(&folder).join("dev.tsv")).unwrap();
    let texts = data.lines().take(200).map(|line| line.split('\t').next().unwrap());
    let (lrp, gradient) = (Method::Lrp.into(), Method::GradientXInput.into());
    let options = ComparisonOptions::default().rankings([lrp, gradient, Ranking::Random]);
    let found = compare_methods(&classifier(), texts, &options.random_orders(2)).unwrap();
    let [lrp, gradient, random] = [lrp, gradient, Ranking::Random].map(|r| of(&found, r));
    println!("{lrp:?}\n{gradient:?}\n{random:?}");
    for other in [gradient, random] {
        assert!(lrp.auac.low > other.auac.high);
        assert!(lrp.most_relevant_first.high < other.most_relevant_first.low);
        assert!(lrp.au_mse.high < other.au_mse.low);
        assert!(lrp.comprehensiveness.low > other.comprehensiveness.high);
        assert!(lrp.sufficiency.high < other.sufficiency.low);
    }
    // The magnitude of gradient times input is better than chance, but its sign hardly is, so the intervals of the other
    // measures overlap.
    assert!(gradient.au_mse.high < random.au_mse.low);
}
