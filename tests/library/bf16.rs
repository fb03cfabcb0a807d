//! bf16 and the automatic choice of a precision, on whatever CPU runs the tests.

use distilbert::{Classifier, DeviceError, Error, InstructionSet, Precision, quantize};
use tempfile::TempDir;

use test_support::generator::GeneratedModel;
use test_support::sets;

#[test]
fn sets_without_bf16_refuse_it_and_propose_f16() {
    let folder = TempDir::new().unwrap();
    GeneratedModel::small().write(folder.path());
    for set in sets() {
        let builder = Classifier::builder(folder.path()).instruction_set(set);
        match builder.precision(Precision::Bf16).build() {
            Ok(classifier) => {
                assert!(set.supports(Precision::Bf16), "{set}");
                assert_eq!(classifier.info().precision, Precision::Bf16);
            }
            Err(error) => {
                assert!(!set.supports(Precision::Bf16), "{set}: {error}");
                let message = error.to_string();
                assert!(message.contains(set.name()) && message.contains("f16 takes"), "{message}");
                assert!(
                    matches!(error, Error::Device(DeviceError::CpuPrecision { .. })),
                    "{message}"
                );
            }
        }
    }
}

#[test]
fn every_set_supports_the_other_precisions() {
    for set in sets() {
        for precision in [Precision::F32, Precision::F16, Precision::Int8, Precision::Auto] {
            assert!(set.supports(precision), "{precision} on {set}");
        }
    }
    let missing = |set: &&InstructionSet| !InstructionSet::detected().contains(set);
    for set in InstructionSet::ALL.iter().filter(missing) {
        assert!(Precision::ALL.iter().all(|&precision| !set.supports(precision)), "{set}");
    }
}

#[test]
fn auto_is_bf16_where_it_is_supported_and_f32_elsewhere() {
    let folder = TempDir::new().unwrap();
    let [original, int8] = ["original", "int8"].map(|name| folder.path().join(name));
    std::fs::create_dir(&original).unwrap();
    GeneratedModel::small().write(&original);
    for set in sets() {
        let builder = Classifier::builder(&original).instruction_set(set);
        let classifier = builder.precision(Precision::Auto).build().unwrap();
        let has_bf16 = set.supports(Precision::Bf16);
        let expected = if has_bf16 { Precision::Bf16 } else { Precision::F32 };
        assert_eq!(classifier.info().precision, expected, "{set}");
    }
    quantize(&original, &int8).unwrap();
    let classifier = Classifier::builder(&int8).precision(Precision::Auto).build().unwrap();
    assert_eq!(classifier.info().precision, Precision::Int8);
}
