//! `distilbert prune`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;
use test_support::Dice;
use test_support::generator::GeneratedModel;

use crate::support::{failed_with_one_line, run, stderr, stdout, succeeded};

/// A model folder, and a table of texts of its vocabulary with labels.
struct Case {
    folder: TempDir,
}

impl Case {
    fn new(rows: usize) -> Self {
        let folder = TempDir::new().unwrap();
        let mut config = GeneratedModel::small().config;
        config["hidden_dim"] = 96.into();
        fs::create_dir(folder.path().join("model")).unwrap();
        GeneratedModel::new(config, 5).write(&folder.path().join("model"));
        let mut dice = Dice(9);
        let mut table = "text,label\n".to_owned();
        for _ in 0..rows {
            for _ in 0..2 + dice.below(12) {
                write!(table, "w{} ", 4 + dice.below(116)).unwrap();
            }
            writeln!(table, ",label {}", dice.below(7)).unwrap();
        }
        fs::write(folder.path().join("texts.csv"), table).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).into_os_string().into_string().unwrap()
    }

    fn prune(&self, out: &str, options: &[&str]) -> std::process::Output {
        let [model, texts, out] = ["model", "texts.csv", out].map(|name| self.path(name));
        run(&[&["prune", &model, &out, "--calibrate", &texts][..], options].concat())
    }

    fn config(&self, out: &str) -> Value {
        let text = fs::read(self.folder.path().join(out).join("config.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    }
}

#[test]
fn writes_a_model_that_the_program_runs() {
    let case = Case::new(200);
    let output = case.prune("half", &["--keep", "0.7"]);
    let shown = succeeded(&output);
    assert!(shown.contains("of the multiply-adds at") && shown.contains("32/96"), "{shown}");
    assert_eq!(case.config("half")["hidden_dim"], 32);
    let found = run(&["classify", "--json", "--model", &case.path("half"), "w5 w6"]);
    assert!(succeeded(&found).contains("label"));

    succeeded(&case.prune("layers", &["--keep", "0.6", "--per-layer"]));
    assert!(case.config("layers").get("pruned_heads").is_some());
    let padded = case.path("padded");
    succeeded(&run(&["convert", &case.path("layers"), &padded, "--pad"]));
    assert!(case.config("padded").get("pruned_heads").is_none());
}

#[test]
fn report_compares_the_sizes_of_a_sweep() {
    let case = Case::new(300);
    let (page, texts) = (case.path("page.html"), case.path("texts.csv"));
    let options = ["--sweep", "0.9,0.7", "--json", "--report", &page, "--evaluate", &texts];
    let output = case.prune("sizes", &[&options[..], &["--texts", "200"]].concat());
    let figures: Value = serde_json::from_str(succeeded(&output)).unwrap();
    let models = figures["models"].as_array().unwrap();
    assert_eq!(models.len(), 3);
    assert_eq!(models[0]["agreement"], 1.0);
    assert_eq!(models[1]["name"], "0.9");
    assert!(models[2]["multiply_adds_share"].as_f64().unwrap() <= 0.7);
    assert_eq!(models[2]["quality"]["rows"], 300);
    assert_eq!(models[2]["milliseconds"][0]["tokens"], 8);
    assert!(fs::read_to_string(&page).unwrap().contains("2 pruned models"));
    assert!(Path::new(&case.path("sizes/0.7")).join("model.safetensors").exists());
}

#[test]
fn failures_name_the_cause() {
    let case = Case::new(20);
    let output = case.prune("out", &[]);
    assert!(failed_with_one_line(&output, 2).contains("at least 64 calibration texts, found 20"));
    let case = Case::new(100);
    for (options, cause) in [
        (&["--keep", "1.5"][..], "above 0 and at most 1, found 1.5"),
        (&["--keep", "0.01"], "is too small"),
        (&["--hidden-dim", "97"], "from 1 to 96, found 97"),
    ] {
        let output = case.prune("out", options);
        let message = failed_with_one_line(&output, 2);
        assert!(message.contains(cause), "{message}");
    }
    fs::write(case.path("texts.csv"), format!("text\n{}", "w7\n".repeat(100))).unwrap();
    let output = case.prune("out", &[]);
    let message = failed_with_one_line(&output, 2);
    assert!(message.contains("attention.out_lin are singular"), "{message}");
    assert!(!Path::new(&case.path("out")).exists());
    let case = Case::new(100);
    succeeded(&case.prune("out", &["--keep", "0.9"]));
    assert!(failed_with_one_line(&case.prune("out", &[]), 2).contains("already exists"));
    for options in [&["--keep", "0.5", "--hidden-dim", "32"][..], &["--budget-ms", "1"]] {
        assert_eq!(case.prune("other", options).status.code(), Some(2));
    }
}

#[test]
fn texts_of_another_language_are_doubted() {
    let case = Case::new(100);
    let texts = case.folder.path().join("texts.csv");
    let table = fs::read_to_string(&texts).unwrap().replace(" ,", " wörter ,");
    fs::write(&texts, table.replace("w1", "wörter")).unwrap();
    let output = case.prune("out", &["--keep", "0.9"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("not be in the model's language"), "{}", stderr(&output));
    assert!(stdout(&output).contains("multiply-adds"));
}
