//! Files under several names, pipes, and full disks.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;
use test_support::generator::GeneratedModel;

use crate::support::{failed_with_one_line, program, succeeded};

/// Folder with a small model, the table `in.csv`, and other names of that table.
struct Folder(TempDir);

const TABLE: &str = "text,class\nw5,label 1\nw6,label 2\n";

impl Folder {
    fn new() -> Self {
        let folder = Self(TempDir::new().unwrap());
        fs::create_dir(folder.file("model")).unwrap();
        GeneratedModel::small().write(&folder.file("model"));
        fs::write(folder.file("in.csv"), TABLE).unwrap();
        fs::hard_link(folder.file("in.csv"), folder.file("hard.csv")).unwrap();
        std::os::unix::fs::symlink("in.csv", folder.file("soft.csv")).unwrap();
        folder
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Returns the program in this folder, with the model.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(arguments);
        command.args(["--model", "model"]).current_dir(self.0.path());
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    #[track_caller]
    fn refused(&self, mut command: Command, message: &str) {
        let output = command.output().unwrap();
        let found = failed_with_one_line(&output, 2);
        assert!(found.contains(message), "{found}");
        assert_eq!(fs::read_to_string(self.file("in.csv")).unwrap(), TABLE);
    }
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn output_is_not_the_input_under_another_name() {
    let folder = Folder::new();
    let open = || File::open(folder.file("in.csv")).unwrap();
    let append = || OpenOptions::new().append(true).open(folder.file("hard.csv")).unwrap();
    for output in ["hard.csv", "soft.csv"] {
        for mode in ["--overwrite", "--resume"] {
            let arguments = ["classify", "--input", "in.csv", "--output", output, mode];
            folder.refused(folder.command(&arguments), output);
        }
        for input in ["-", "/dev/stdin"] {
            let arguments = ["classify", "--input", input, "--format", "csv", "--output", output];
            let mut command = folder.command(&arguments);
            command.arg("--overwrite").stdin(open());
            folder.refused(command, output);
        }
    }
    for arguments in [&["classify", "--input", "in.csv"][..], &["classify"], &["explain"]] {
        let mut command = folder.command(arguments);
        command.stdin(open()).stdout(append());
        folder.refused(command, "standard output is the same file as");
    }
    // A device is not a file: it may be both.
    let arguments = ["classify", "--input", "-", "--format", "csv", "--output", "/dev/null"];
    succeeded(&folder.run(&arguments));
}

#[test]
fn pages_do_not_replace_what_is_read() {
    let folder = Folder::new();
    fs::hard_link(folder.file("model/vocab.txt"), folder.file("words.html")).unwrap();
    let evaluate = ["evaluate", "in.csv", "--label-column", "class", "--report"];
    for report in ["in.csv", "hard.csv", "words.html", "model/config.json"] {
        folder.refused(folder.command(&[&evaluate[..], &[report]].concat()), report);
    }
    fs::write(folder.file("one.txt"), "w5").unwrap();
    fs::create_dir(folder.file("svg")).unwrap();
    fs::hard_link(folder.file("one.txt"), folder.file("svg/words-in-text-order.svg")).unwrap();
    for arguments in
        [&["explain", "--html", "one.txt"][..], &["explain", "--svg", "svg", "--html", "new.html"]]
    {
        let mut command = folder.command(arguments);
        command.stdin(File::open(folder.file("one.txt")).unwrap());
        folder.refused(command, "is the same file as standard input");
    }
    assert_eq!(fs::read_to_string(folder.file("one.txt")).unwrap(), "w5");
    assert!(!folder.file("new.html").exists());
}

#[test]
fn pipes_are_streamed() {
    let folder = Folder::new();
    pipe(&folder.file("pipe.csv"));
    let table = folder.file("pipe.csv");
    let writer = std::thread::spawn(move || fs::write(table, TABLE).unwrap());
    let arguments = ["classify", "--input", "pipe.csv", "--output", "out.csv", "--resume"];
    succeeded(&folder.run(&arguments));
    writer.join().unwrap();
    assert_eq!(fs::read_to_string(folder.file("out.csv")).unwrap().lines().count(), 3);
}

/// A tokenizer's file is copied, and an unfinished output is replaced.
#[test]
fn convert_does_not_wait_for_pipes() {
    let folder = Folder::new();
    fs::create_dir(folder.file("out")).unwrap();
    pipe(&folder.file("out/model.safetensors.partial"));
    let weights = folder.file("model/model.safetensors");
    fs::hard_link(&weights, folder.file("out/config.json.partial")).unwrap();
    let before = fs::read(&weights).unwrap();
    succeeded(
        &program(&["convert", "model", "out"]).current_dir(folder.0.path()).output().unwrap(),
    );
    assert!(fs::read(&weights).unwrap() == before);
    pipe(&folder.file("model/special_tokens_map.json"));
    let output =
        program(&["convert", "model", "new"]).current_dir(folder.0.path()).output().unwrap();
    let message = failed_with_one_line(&output, 2);
    assert!(message.contains("special_tokens_map.json"), "{message}");
}

#[cfg(target_os = "linux")]
#[test]
fn full_disk_is_reported_with_the_file() {
    let folder = Folder::new();
    let table = ["classify", "--input", "in.csv"];
    for (arguments, name) in [
        (&[&table[..], &["--output", "/dev/full"]].concat()[..], "cannot write /dev/full: "),
        (&["explain", "w5", "--html", "/dev/full"], "cannot write /dev/full: "),
        (
            &["evaluate", "in.csv", "--label-column", "class", "--report", "/dev/full"],
            "/dev/full: ",
        ),
    ] {
        folder.refused(folder.command(arguments), name);
    }
    for arguments in [&table[..], &["classify", "w5"], &["explain", "w5"]] {
        let mut command = folder.command(arguments);
        command.stdout(OpenOptions::new().write(true).open("/dev/full").unwrap());
        folder.refused(command, "cannot write to standard output: ");
    }
}

#[test]
fn folders_are_not_outputs() {
    let folder = Folder::new();
    for arguments in [
        &["classify", "--input", "in.csv", "--output", "model", "--overwrite", "--format", "csv"][..],
        &["explain", "w5", "--html", "model"],
        &["evaluate", "in.csv", "--label-column", "class", "--report", "model"],
        &["classify", "--input", "in.csv", "--output", "none/out.csv"],
    ] {
        folder.refused(folder.command(arguments), "cannot write ");
    }
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_needs_regular_files() {
    let folder = Folder::new();
    pipe(&folder.file("pipe.parquet"));
    let refused = |arguments: &[&str], message: &str| {
        folder.refused(folder.command(arguments), message);
    };
    refused(
        &["classify", "--input", "pipe.parquet", "--output", "out.parquet"],
        "pipe.parquet is not a regular file",
    );
    refused(&["evaluate", "pipe.parquet"], "pipe.parquet is not a regular file");
    let all_types = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tables/all_types.parquet");
    let parts = folder.file("out.parquet.parts");
    fs::create_dir(&parts).unwrap();
    let part = parts.join("000001.parquet");
    fs::copy(all_types, &part).unwrap();
    fs::hard_link(&part, folder.file("in.parquet")).unwrap();
    for output in ["out.parquet", "pipe.parquet", "model"] {
        let arguments = ["classify", "--input", "in.parquet", "--overwrite", "--format", "parquet"];
        let output = folder.run(&[&arguments[..], &["--output", output]].concat());
        assert_eq!(output.status.code(), Some(2), "{}", crate::support::stderr(&output));
        assert!(part.exists());
    }
}
