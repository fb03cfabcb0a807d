//! Whole models, from their name to their logits.

use std::fs;

use distilbert::hub::{locate, snapshot_download};
use distilbert::{Classifier, TokenBatch};
use test_support::bundled_model;

use super::*;

fn logits(builder: distilbert::ClassifierBuilder) -> Vec<u32> {
    let rows = [vec![101, 2307, 102], vec![101, 1045, 3335, 2032, 102]];
    let logits = builder.build().unwrap().logits(&TokenBatch::from_rows(&rows).unwrap()).unwrap();
    logits.into_iter().map(f32::to_bits).collect()
}

#[test]
fn model_of_the_hub_gives_the_bits_of_its_folder() {
    let setup = Setup::new();
    setup.hub.publish_folder("org/emotion", &bundled_model());
    let expected = logits(Classifier::builder(bundled_model()));
    for options in [setup.options(), setup.options(), setup.options().offline(true)] {
        let builder = Classifier::from_pretrained_with("org/emotion", &options).unwrap();
        assert_eq!(logits(builder), expected);
    }
}

#[test]
fn existing_path_wins_over_a_name() {
    let setup = Setup::new();
    let folder = setup.cache.path().join("existing");
    fs::create_dir(&folder).unwrap();
    assert_eq!(locate(&folder, &setup.options()).unwrap(), folder);
    assert_eq!(setup.requests(), [""; 0]);
}

#[test]
fn only_needed_files_are_downloaded() {
    let setup = Setup::new();
    let folder = setup.download().unwrap();
    let needed = ["config.json", "model.safetensors", "tokenizer.json", "vocab.txt"];
    assert_eq!(names(&folder), needed.map(str::to_owned).into());
    for (name, bytes) in files() {
        if needed.contains(&name) {
            assert!(fs::read(folder.join(name)).unwrap() == bytes, "{name}");
        }
    }
    let of = |name: &str| format!("/{ID}/resolve/{}/{name}", setup.commit);
    let mut expected = vec![format!("GET /api/models/{ID}/revision/main")];
    for name in ["config.json", "tokenizer.json", "vocab.txt"] {
        expected.extend([format!("HEAD {}", of(name)), format!("GET {}", of(name))]);
    }
    let contents = format!("GET /blob/{}", hub_stand_in::sha256(&WEIGHTS));
    expected.extend([format!("HEAD {}", of("model.safetensors")), contents]);
    assert_eq!(setup.requests(), expected);
}

#[test]
fn sharded_weights_come_with_their_index() {
    let setup = Setup::new();
    let index = br#"{"weight_map": {"a": "part-2.safetensors", "b": "part-1.safetensors"}}"#;
    let shards: [(&str, &[u8]); 6] = [
        ("config.json", b"{}"),
        ("model.safetensors.index.json", index),
        ("part-1.safetensors", b"1"),
        ("part-2.safetensors", b"2"),
        ("other.safetensors", b"3"),
        ("vocab.txt", b"[PAD]"),
    ];
    setup.hub.publish("org/shards", "main", &shards);
    let folder = snapshot_download("org/shards", &setup.options()).unwrap();
    assert_eq!(names(&folder).len(), 5);
    assert_eq!(fs::read(folder.join("part-2.safetensors")).unwrap(), b"2");
    let offline = || snapshot_download("org/shards", &setup.options().offline(true));
    assert_eq!(offline().unwrap(), folder);
    fs::remove_file(folder.join("part-1.safetensors")).unwrap();
    let error = hub_error(offline());
    assert!(matches!(&error, HubError::NotCached { file, .. } if file == "part-1.safetensors"));
}

#[test]
fn revisions_are_branches_tags_and_commits() {
    let setup = Setup::new();
    let mut other = files();
    other[2].1 = b"{\"dim\": 1}";
    let commit = setup.hub.publish(ID, "refs/pr/1", &other);
    for revision in ["refs/pr/1", &commit] {
        let folder = snapshot_download(ID, &setup.options().revision(revision)).unwrap();
        assert_eq!(fs::read(folder.join("config.json")).unwrap(), other[2].1);
        let offline = snapshot_download(ID, &setup.options().revision(revision).offline(true));
        assert_eq!(offline.unwrap(), folder);
    }
    let refs = names(&setup.folder().join("refs"));
    assert_eq!(refs, ["refs".to_owned()].into(), "a commit needs no reference");
    // A commit never changes.
    setup.requests();
    snapshot_download(ID, &setup.options().revision(commit)).unwrap();
    assert_eq!(setup.requests(), [""; 0]);
}

#[test]
fn renamed_model_is_found_under_its_old_name() {
    let setup = Setup::new();
    setup.hub.require_token(ID, "hf_secret");
    setup.hub.rename(ID, "new/name");
    let options = setup.options().token("hf_secret");
    let folder = snapshot_download(ID, &options).unwrap();
    assert!(fs::read(folder.join("model.safetensors")).unwrap() == *WEIGHTS);
}

#[test]
fn progress_covers_every_byte() {
    use std::sync::{Arc, Mutex};
    let setup = Setup::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let options = setup.options().on_progress(move |progress| {
        log.lock().unwrap().push((progress.file.to_owned(), progress.received, progress.total));
    });
    snapshot_download(ID, &options).unwrap();
    let size = WEIGHTS.len() as u64;
    let seen = seen.lock().unwrap();
    let weights: Vec<_> = seen.iter().filter(|(file, ..)| file == "model.safetensors").collect();
    assert!(weights.iter().all(|(_, _, total)| *total == Some(size)));
    assert!(weights.is_sorted_by_key(|(_, received, _)| *received));
    assert_eq!((weights[0].1, weights.last().unwrap().1), (0, size));
}
