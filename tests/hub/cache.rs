//! The cache, as it is shared with other processes and with Hugging Face's tools for Python.

use std::os::unix::fs::symlink;
use std::thread;

use super::*;

/// Writes a cache as `huggingface_hub` does, links and locks included, and returns the snapshot's folder.
fn python_cache(root: &Path, commit: &str, files: &[(&str, &[u8])]) -> PathBuf {
    let folder = root.join("models--org--name");
    let snapshot = folder.join("snapshots").join(commit);
    let locks = root.join(".locks/models--org--name");
    let absent = folder.join(".no_exist").join(commit);
    for folder in [&folder.join("blobs"), &folder.join("refs"), &snapshot, &locks, &absent] {
        fs::create_dir_all(folder).unwrap();
    }
    fs::write(root.join("CACHEDIR.TAG"), "Signature: 8a477f597d28d172789f06886806bc55").unwrap();
    fs::write(folder.join("refs/main"), commit).unwrap();
    fs::write(absent.join("added_tokens.json"), "").unwrap();
    fs::create_dir(folder.join("trees")).unwrap();
    fs::write(folder.join("trees").join(format!("{commit}.json")), "{}").unwrap();
    for (name, bytes) in files {
        let sha256 = hub_stand_in::sha256(bytes);
        let is_large = name.ends_with(".safetensors");
        let etag = if is_large { &sha256 } else { &sha256[..40] };
        fs::write(folder.join("blobs").join(etag), bytes).unwrap();
        fs::write(locks.join(format!("{etag}.lock")), "").unwrap();
        symlink(format!("../../blobs/{etag}"), snapshot.join(name)).unwrap();
    }
    snapshot
}

#[test]
fn cache_of_huggingface_hub_is_used_as_it_is() {
    let setup = Setup::new();
    let snapshot = python_cache(setup.cache.path(), &setup.commit, &files());
    assert_eq!(setup.offline().unwrap(), snapshot);
    assert_eq!(setup.requests(), [""; 0]);
    assert_eq!(setup.download().unwrap(), snapshot);
    assert_eq!(setup.requests(), [format!("GET /api/models/{ID}/revision/main")]);
}

#[test]
fn cache_has_the_layout_of_huggingface_hub() {
    let [setup, expected] = [Setup::new(), Setup::new()];
    setup.download().unwrap();
    let needed = ["config.json", "model.safetensors", "tokenizer.json", "vocab.txt"];
    let files: Vec<_> = files().into_iter().filter(|(name, _)| needed.contains(name)).collect();
    python_cache(expected.cache.path(), &setup.commit, &files);
    let [found, expected] = [&setup, &expected].map(|setup| {
        let root = setup.cache.path();
        let parts = ["blobs", "refs"].map(|part| names(&setup.folder().join(part)));
        let snapshot = setup.folder().join("snapshots").join(&setup.commit);
        let link = |name: String| (fs::read_link(snapshot.join(&name)).unwrap(), name);
        let links: Vec<_> = names(&snapshot).into_iter().map(link).collect();
        let commit = fs::read_to_string(setup.folder().join("refs/main")).unwrap();
        (parts, links, commit, names(&root.join(".locks/models--org--name")))
    });
    assert_eq!(found, expected);
}

#[test]
fn cached_model_costs_one_request() {
    let setup = Setup::new();
    let folder = setup.download().unwrap();
    setup.requests();
    assert_eq!(setup.download().unwrap(), folder);
    assert_eq!(setup.requests(), [format!("GET /api/models/{ID}/revision/main")]);
}

#[test]
fn offline_mode_sends_nothing_and_names_the_missing_file() {
    let setup = Setup::new();
    let error = hub_error(setup.offline());
    assert!(matches!(&error, HubError::NotCached { file, .. } if file == "config.json"), "{error}");
    let folder = setup.download().unwrap();
    setup.requests();
    assert_eq!(setup.offline().unwrap(), folder);
    for name in ["model.safetensors", "config.json"] {
        // Without its contents, a link counts as missing.
        let contents = fs::canonicalize(folder.join(name)).unwrap();
        fs::remove_file(contents).unwrap();
        let error = hub_error(setup.offline());
        assert!(matches!(&error, HubError::NotCached { file, .. } if file == name), "{error}");
        let message = error.to_string();
        assert!([name, ID, "main"].iter().all(|part| message.contains(part)), "{message}");
    }
    assert_eq!(setup.requests(), [""; 0]);
    assert_eq!(setup.download().unwrap(), folder);
    assert!(fs::read(folder.join("model.safetensors")).unwrap() == *WEIGHTS);
}

#[test]
fn partial_cache_is_completed() {
    let setup = Setup::new();
    let present: Vec<_> = files().into_iter().filter(|(name, _)| *name != "vocab.txt").collect();
    python_cache(setup.cache.path(), &setup.commit, &present);
    let folder = setup.download().unwrap();
    assert!(folder.join("vocab.txt").exists());
    let of = |method: &str| format!("{method} /{ID}/resolve/{}/vocab.txt", setup.commit);
    assert_eq!(setup.requests()[1..], [of("HEAD"), of("GET")]);
}

#[test]
fn new_commit_reuses_contents() {
    let setup = Setup::new();
    let old = setup.download().unwrap();
    let mut changed = files();
    changed[2].1 = b"{\"dim\": 2}";
    setup.hub.publish(ID, "main", &changed);
    setup.requests();
    let new = setup.download().unwrap();
    assert_ne!(old, new);
    assert_eq!(fs::read(new.join("config.json")).unwrap(), changed[2].1);
    assert_eq!(fs::read(old.join("config.json")).unwrap(), b"{}");
    let requests = setup.requests();
    assert!(!requests.iter().any(|request| request.starts_with("GET /blob/")), "{requests:?}");
    assert_eq!(setup.offline().unwrap(), new);
}

#[test]
fn concurrent_downloads_share_one_transfer() {
    let setup = Setup::new();
    let folders: BTreeSet<PathBuf> = thread::scope(|scope| {
        let threads = [(); 6].map(|()| scope.spawn(|| setup.download().unwrap()));
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(folders.len(), 1);
    let folder = folders.first().unwrap();
    assert!(fs::read(folder.join("model.safetensors")).unwrap() == *WEIGHTS);
    let requests = setup.requests();
    let transfers = requests.iter().filter(|request| request.starts_with("GET /blob/"));
    assert_eq!(transfers.count(), 1, "{requests:?}");
    assert_eq!(names(&setup.folder().join("blobs")).len(), 4);
    assert_eq!(names(folder).len(), 4);
}

#[test]
fn cache_that_cannot_be_written_is_an_error_of_its_path() {
    let setup = Setup::new();
    let file = setup.cache.path().join("file");
    fs::write(&file, "").unwrap();
    let error = snapshot_download(ID, &setup.options().cache_folder(&file)).unwrap_err();
    let Error::Io { operation: "write", path, .. } = &error else { panic!("{error}") };
    assert!(path.starts_with(&file), "{error}");
}
