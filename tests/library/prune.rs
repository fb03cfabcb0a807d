//! Pruning without retraining.

use std::fs;
use std::path::{Path, PathBuf};

use distilbert::prune::{PruneOptions, PruneTarget, Pruner};
use distilbert::{Classifier, Config, Error, LayerShape, PruneError, TokenBatch, pad, quantize};
use safetensors::Dtype;
use tempfile::TempDir;
use test_support::Dice;
use test_support::generator::GeneratedModel;

/// Returns a model of 2 layers, 4 heads and 96 neurons.
fn model() -> GeneratedModel {
    let mut config = GeneratedModel::small().config;
    config["hidden_dim"] = 96.into();
    GeneratedModel::new(config, 5)
}

fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    model().write(folder.path());
    folder
}

fn texts(count: usize) -> TokenBatch {
    let mut dice = Dice(8);
    let rows: Vec<Vec<u32>> = (0..count)
        .map(|_| (0..2 + dice.below(20)).map(|_| dice.below(120) as u32).collect())
        .collect();
    TokenBatch::from_rows(&rows).unwrap()
}

fn logits(model: &Path) -> Vec<f32> {
    let classifier = Classifier::builder(model).build().unwrap();
    classifier.logits(&texts(150)).unwrap()
}

/// Prunes to `out`, and returns the share that is kept.
fn prune(model: &Path, options: PruneOptions, target: PruneTarget, out: &Path) -> f64 {
    let pruner = Pruner::new(model, &texts(400), options).unwrap();
    let pruned = pruner.prune(target).unwrap();
    pruned.write(out).unwrap();
    pruned.kept_share()
}

fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let names = ["config.json", "model.safetensors", "vocab.txt"];
    names.map(|name| (name.into(), fs::read(folder.join(name)).unwrap())).into()
}

/// Returns the mean squared difference.
fn difference(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>() / a.len() as f32
}

#[test]
fn keeping_everything_keeps_every_bit() {
    for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
        for per_layer in [false, true] {
            let (folder, out) = (TempDir::new().unwrap(), TempDir::new().unwrap());
            model().stored_as(dtype).write(folder.path());
            let options = PruneOptions::default().per_layer(per_layer);
            assert_eq!(prune(folder.path(), options, PruneTarget::Keep(1.0), out.path()), 1.0);
            assert_eq!(logits(folder.path()), logits(out.path()));
        }
    }
}

#[test]
fn uniform_model_is_a_plain_checkpoint() {
    let (folder, out) = (folder(), TempDir::new().unwrap());
    let share = prune(folder.path(), PruneOptions::default(), PruneTarget::Keep(0.7), out.path());
    assert!(share <= 0.7, "{share}");
    let config = Config::from_file(out.path().join("config.json")).unwrap();
    assert!(config.is_uniform());
    assert_eq!(config.layer(1), LayerShape { heads: 4, hidden_dim: 32 });
    let json = fs::read_to_string(out.path().join("config.json")).unwrap();
    assert!(!json.contains("hidden_dims") && !json.contains("pruned_heads"), "{json}");
    assert_eq!(logits(out.path()).len(), 150 * 7);
}

#[test]
fn width_can_be_chosen() {
    let (folder, out) = (folder(), TempDir::new().unwrap());
    prune(folder.path(), PruneOptions::default(), PruneTarget::HiddenDim(70), out.path());
    let config = Config::from_file(out.path().join("config.json")).unwrap();
    assert_eq!(config.hidden_dim, 70);
}

#[test]
fn time_that_suffices_changes_nothing() {
    let folder = folder();
    for per_layer in [false, true] {
        let options = PruneOptions::default().per_layer(per_layer).tokens(12);
        let pruner = Pruner::new(folder.path(), &texts(100), options).unwrap();
        assert_eq!(pruner.prune(PruneTarget::Milliseconds(1e9)).unwrap().kept_share(), 1.0);
    }
}

#[test]
fn layers_may_differ_and_can_be_padded() {
    let (folder, out) = (folder(), TempDir::new().unwrap());
    let (pruned, padded) = (out.path().join("pruned"), out.path().join("padded"));
    let options = PruneOptions::default().per_layer(true);
    assert!(prune(folder.path(), options, PruneTarget::Keep(0.6), &pruned) <= 0.6);
    let config = Config::from_file(pruned.join("config.json")).unwrap();
    assert!(!config.is_uniform());
    pad(&pruned, &padded).unwrap();
    assert!(difference(&logits(&pruned), &logits(&padded)) < 1e-10);
}

/// A model pruned at random would be about as far from the original as one pruned to nothing.
#[test]
fn answers_stay_near_those_of_the_original() {
    let (folder, out) = (folder(), TempDir::new().unwrap());
    let original = logits(folder.path());
    let mean = original.iter().sum::<f32>() / original.len() as f32;
    let spread = difference(&original, &vec![mean; original.len()]);
    let mut last = 0.0;
    for (index, width) in [80, 48, 16].into_iter().enumerate() {
        let to = out.path().join(index.to_string());
        prune(folder.path(), PruneOptions::default(), PruneTarget::HiddenDim(width), &to);
        let change = difference(&original, &logits(&to));
        assert!(change > last, "{width}: {change} {last}");
        assert!(change < spread / 2.0, "{width}: {change} {spread}");
        last = change;
    }
}

#[test]
fn result_depends_on_the_seed_and_not_on_threads() {
    let folder = folder();
    let files = |threads: usize, seed: u64| {
        let out = TempDir::new().unwrap();
        let options = PruneOptions::default().per_layer(true).threads(threads).seed(seed);
        prune(folder.path(), options, PruneTarget::Keep(0.6), out.path());
        files(out.path())
    };
    let first = files(1, 0);
    assert!(first == files(3, 0));
    assert!(first != files(1, 1));
}

#[test]
fn pruned_model_can_be_pruned_and_quantized() {
    let (folder, out) = (folder(), TempDir::new().unwrap());
    let [once, twice, int8] = ["once", "twice", "int8"].map(|name| out.path().join(name));
    let options = PruneOptions::default().per_layer(true);
    prune(folder.path(), options.clone(), PruneTarget::Keep(0.7), &once);
    prune(&once, options, PruneTarget::Keep(0.7), &twice);
    let shapes = |folder: &Path| {
        let config = Config::from_file(folder.join("config.json")).unwrap();
        (0..2).map(|layer| config.layer(layer)).collect::<Vec<_>>()
    };
    let pairs = shapes(&once).into_iter().zip(shapes(&twice));
    pairs.for_each(|(once, twice)| {
        assert!(twice.heads <= once.heads && twice.hidden_dim <= once.hidden_dim);
    });
    quantize(&twice, &int8).unwrap();
    assert!(difference(&logits(&twice), &logits(&int8)) < 0.05);
    let error = Pruner::new(&int8, &texts(400), PruneOptions::default()).unwrap_err();
    assert!(matches!(error, Error::Prune(PruneError::Quantized)), "{error}");
}

#[test]
fn bad_input_is_named() {
    let folder = folder();
    let new = |texts: &TokenBatch| Pruner::new(folder.path(), texts, PruneOptions::default());
    let error = new(&texts(10)).unwrap_err();
    let expected = PruneError::TooFewTexts { found: 10, needed: 64 };
    assert_eq!(error.to_string(), expected.to_string());
    let same = TokenBatch::from_rows(&vec![[7]; 100]).unwrap();
    let error = new(&same).unwrap_err();
    assert!(
        matches!(error, Error::Prune(PruneError::SingularStatistics { layer: 0, .. })),
        "{error}"
    );
    let error = new(&TokenBatch::from_rows(&vec![[120]; 100]).unwrap()).unwrap_err();
    assert!(matches!(error, Error::Input(_)), "{error}");

    let pruner = new(&texts(100)).unwrap();
    let fails = |target: PruneTarget, expected: fn(&PruneError) -> bool| match pruner.prune(target)
    {
        Err(Error::Prune(error)) => assert!(expected(&error), "{error}"),
        other => panic!("{target:?}: {other:?}"),
    };
    for share in [0.0, -1.0, 1.5, f64::NAN] {
        fails(PruneTarget::Keep(share), |error| matches!(error, PruneError::Share { .. }));
    }
    for time in [0.0, f64::NAN] {
        fails(PruneTarget::Milliseconds(time), |error| matches!(error, PruneError::Time { .. }));
    }
    for target in [PruneTarget::Keep(0.01), PruneTarget::Milliseconds(1e-9)] {
        fails(target, |error| matches!(error, PruneError::Budget { .. }));
    }
    for width in [0, 97] {
        fails(PruneTarget::HiddenDim(width), |error| matches!(error, PruneError::HiddenDim { .. }));
    }
}
