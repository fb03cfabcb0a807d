//! `distilbert bench`, `completions` and `man`, and the examples in `--help`.

use serde_json::Value;

use crate::support::{edited_model, failed_with_one_line, objects, path, run, stdout, succeeded};

#[test]
fn bench_reports_every_measurement() {
    // With one layer, the measurements take seconds.
    let model = edited_model(|config| config["n_layers"] = 1.into());
    let options = ["bench", "--seconds", "0.001", "--threads", "1", "--json", "--energy"];
    let output = run(&[&options[..], &["--model", path(&model)]].concat());
    let [found] = &objects(succeeded(&output))[..] else { panic!("one object is expected") };
    assert_eq!(found["folder"], path(&model));
    assert_eq!(found["threads"], 1);
    let precisions = found["precisions"].as_array().unwrap();
    let names = precisions.iter().map(|precision| &precision["precision"]);
    let names: Vec<&Value> = names.filter(|&name| name != "bf16").collect();
    assert_eq!(names, ["f32", "f16", "int8", "cascade:0.25"]);
    for precision in precisions {
        assert!(precision["load_ms"].as_f64().unwrap() > 0.0);
        let lengths = precision["latency"].as_array().unwrap();
        let tokens = lengths.iter().map(|latency| latency["tokens"].as_u64().unwrap());
        assert_eq!(tokens.collect::<Vec<_>>(), [8, 32, 128, 512]);
        for latency in lengths {
            let [median, p95, p99] =
                ["median_ms", "p95_ms", "p99_ms"].map(|key| latency[key].as_f64());
            assert!(0.0 < median.unwrap() && median <= p95 && p95 <= p99, "{latency}");
            assert!(latency["runs"].as_u64().unwrap() >= 5);
        }
        for throughput in precision["throughput"].as_array().unwrap() {
            assert!(throughput["texts_per_second"].as_f64().unwrap() > 0.0);
            // Energy is either measured or explained.
            assert!(
                throughput["joules_per_1000_texts"].is_number() || found["no_energy"].is_string()
            );
        }
    }
    if cfg!(target_os = "linux") {
        let [f32, int8] = ["f32", "int8"].map(|name| {
            let mut all = precisions.iter();
            let found = all.find(|precision| precision["precision"] == name).unwrap();
            found["memory_bytes"].as_u64().unwrap()
        });
        assert!(int8 < f32);
    }
    let output = run(&["bench", "--model", "no/such/folder"]);
    assert!(failed_with_one_line(&output, 2).contains("no/such/folder"));
    let output = run(&["bench", "--seconds", "0"]);
    assert_eq!(output.status.code(), Some(2));
}

/// Returns the names of all commands, from `--help`.
fn commands() -> Vec<String> {
    let help = run(&["--help"]);
    let list = succeeded(&help).split("Commands:\n").nth(1).unwrap();
    let lines = list.lines().take_while(|line| !line.is_empty());
    lines.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

#[test]
fn every_command_has_examples_completions_and_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(succeeded(&run(&["man", path(&folder)])), "");
    let completions = ["bash", "zsh", "fish", "powershell", "elvish"]
        .map(|shell| stdout(&run(&["completions", shell])).to_owned());
    let page = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(succeeded(&run(&["man"])), page("distilbert.1"));
    let commands = commands();
    assert!(commands.len() >= 8);
    for command in &commands {
        let help = run(&[command, "--help"]);
        let help = succeeded(&help);
        assert!(help.contains("Example"), "{help}");
        assert!(help.contains(&format!("distilbert {command}")), "{help}");
        assert!(page(&format!("distilbert-{command}.1")).contains("Example"));
        assert!(page("distilbert.1").contains(command.as_str()));
        for script in &completions {
            assert!(script.contains(command.as_str()), "{command}");
        }
    }
    let output = run(&["completions", "tcsh"]);
    assert_eq!(output.status.code(), Some(2));
    let file = folder.path().join("distilbert.1");
    let output = run(&["man", file.to_str().unwrap()]);
    assert!(failed_with_one_line(&output, 2).contains("cannot write"));
}
