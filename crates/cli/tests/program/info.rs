//! `distilbert info`, the choice of the instruction set, and the search for the bundled model.

use std::path::{Path, PathBuf};
use std::process::Command;

use distilbert::{Classifier, InstructionSet, Precision};
use serde_json::Value;

use crate::support::{
    BUNDLED, PROGRAM, bits, bundled, clear_environment, copy_model, failed_with_one_line, logits,
    objects, program, run, run_with_input, succeeded,
};

#[test]
fn info_describes_the_bundled_model() {
    let classifier = bundled();
    let (info, config) = (classifier.info(), classifier.config());

    let output = run(&["info", "--json"]);
    let objects = objects(succeeded(&output));
    let [object] = &objects[..] else { panic!("one object expected") };
    assert_eq!(object["folder"], info.folder.to_str().unwrap());
    assert_eq!(object["problem_type"], classifier.problem_type().as_str());
    assert_eq!(object["labels"], Value::from(classifier.labels()));
    assert_eq!(object["dtypes"], Value::from(info.dtypes.clone()));
    assert_eq!(object["instruction_set"], info.instruction_set.name());
    let detected = object["detected_instruction_sets"].as_array().unwrap();
    assert!(detected.iter().eq(InstructionSet::detected().iter().map(|set| set.name())));
    assert_eq!(object["instruction_set_reason"], "best supported");
    let has_bf16 = info.instruction_set.supports(Precision::Bf16);
    assert_eq!(object["cpu_supports_bf16"], has_bf16);
    for (key, value) in [
        ("parameters", info.parameters),
        ("n_layers", config.n_layers),
        ("n_heads", config.n_heads),
        ("dim", config.dim),
        ("hidden_dim", config.hidden_dim),
        ("vocab_size", config.vocab_size),
        ("max_position_embeddings", config.max_position_embeddings),
        ("checkpoint_bytes", info.checkpoint_bytes),
        ("threads", info.threads),
    ] {
        assert_eq!(object[key], value, "{key}");
    }

    let output = run(&["info"]);
    let table = succeeded(&output);
    assert!(!table.contains('\u{1b}'), "{table:?}");
    for said in
        [&BUNDLED[..], "7: anger, disgust, fear, happiness", "F16", info.instruction_set.name()]
    {
        assert!(table.contains(said), "{said} in\n{table}");
    }
}

#[test]
fn bf16_without_its_instructions_is_a_one_line_error() {
    let mut command = program(&["classify", "--precision", "bf16", "hello"]);
    command.env("DISTILBERT_ISA", "portable");
    let output = run_with_input(command, b"");
    let message = failed_with_one_line(&output, 2);
    assert!(message.contains("`portable`") && message.contains("--precision f16"), "{message}");
}

#[test]
fn environment_variable_selects_the_instruction_set() {
    for &set in InstructionSet::ALL {
        let mut command = program(&["info", "--json"]);
        command.env("DISTILBERT_ISA", set.name());
        let output = run_with_input(command, b"");
        if InstructionSet::detected().contains(&set) {
            let object = &objects(succeeded(&output))[0];
            assert_eq!(object["instruction_set"], set.name());
            assert_eq!(object["instruction_set_reason"], "set by DISTILBERT_ISA");
        } else {
            let message = failed_with_one_line(&output, 2);
            let name = format!("`{set}`");
            assert!(message.contains(&name) && message.contains("needs"), "{message}");
        }
    }

    let mut command = program(&["classify", "--json", "What a shock!"]);
    command.env("DISTILBERT_ISA", "portable");
    let output = run_with_input(command, b"");
    let classifier = Classifier::builder(&*BUNDLED).instruction_set(InstructionSet::Portable);
    let expected = classifier.build().unwrap().classify("What a shock!").unwrap();
    assert_eq!(bits(&logits(&objects(succeeded(&output))[0])), bits(expected.logits()));

    let mut command = program(&["classify", "hello"]);
    command.env("DISTILBERT_ISA", "nonsense");
    let output = run_with_input(command, b"");
    let message = failed_with_one_line(&output, 2);
    assert!(message.contains("`nonsense`") && message.contains("portable"), "{message}");
}

#[test]
fn installed_program_finds_its_model_in_share() {
    // Hard links need the file system of the program.
    let prefix = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let program: PathBuf = prefix.path().join("bin/distilbert");
    let model = prefix.path().join("share/distilbert/models/emotion");
    for folder in [program.parent().unwrap(), &model] {
        std::fs::create_dir_all(folder).unwrap();
    }
    std::fs::hard_link(PROGRAM, &program).unwrap();
    copy_model(&model, |_| {});
    let mut command = Command::new(&program);
    clear_environment(&mut command);
    let output = command.args(["info", "--json"]).output().unwrap();
    let folder = objects(succeeded(&output))[0]["folder"].as_str().unwrap().to_owned();
    let real = |path: &Path| path.canonicalize().unwrap();
    assert_eq!(real(Path::new(&folder)), real(&model));
}
