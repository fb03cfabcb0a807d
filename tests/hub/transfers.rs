//! Transfers that break, and what is left of them.

use hub_stand_in::Fault;

use super::*;

/// Requests for the weights' contents.
const CONTENTS: &str = "GET /blob/";

/// Returns the first byte of each request for the weights' contents.
fn starts(setup: &Setup) -> Vec<Option<String>> {
    let requests = setup.hub.take_requests();
    let contents = requests.into_iter().filter(|request| request.is_contents);
    contents.map(|request| request.range).collect()
}

#[track_caller]
fn assert_recovers(fault: Fault, times: usize) -> Vec<Option<String>> {
    let setup = Setup::new();
    setup.hub.fail(CONTENTS, fault, times);
    let folder = setup.download().unwrap();
    assert!(fs::read(folder.join("model.safetensors")).unwrap() == *WEIGHTS);
    assert_eq!(names(&setup.folder().join("blobs")).len(), 4, "temporary files are left");
    starts(&setup)
}

#[test]
fn interrupted_transfer_is_continued() {
    let starts = assert_recovers(Fault::CloseAfter(150_000), 2);
    let range = |start: &str| Some(format!("bytes={start}-"));
    assert_eq!(starts, [None, range("150000"), range("300000")]);
}

#[test]
fn transfer_starts_over_if_ranges_are_ignored() {
    let setup = Setup::new();
    setup.hub.fail(CONTENTS, Fault::CloseAfter(150_000), 1);
    setup.hub.fail(CONTENTS, Fault::IgnoreRange, 9);
    let folder = setup.download().unwrap();
    assert!(fs::read(folder.join("model.safetensors")).unwrap() == *WEIGHTS);
    assert_eq!(starts(&setup).len(), 2);
}

#[test]
fn passing_faults_are_overcome() {
    for fault in [
        Fault::Status(503),
        Fault::Status(403),
        Fault::Hangup,
        Fault::Short(1000),
        Fault::Long,
        Fault::Corrupt,
    ] {
        assert_recovers(fault, 1);
    }
}

#[test]
fn lasting_faults_leave_nothing() {
    std::thread::scope(|scope| {
        for (fault, reason) in [
            (Fault::CloseAfter(0), "disconnected"),
            (Fault::Short(1000), "400000 bytes"),
            (Fault::Long, "found 400001"),
            (Fault::Corrupt, "SHA-256"),
        ] {
            scope.spawn(move || {
                let setup = Setup::new();
                setup.hub.fail(CONTENTS, fault, usize::MAX);
                let error = hub_error(setup.download());
                let message = error.to_string();
                assert!(matches!(error, HubError::Transfer { .. }), "{message}");
                assert!(
                    message.contains(reason) && message.contains("model.safetensors"),
                    "{message}"
                );
                setup.assert_nothing_of("model.safetensors");
            });
        }
    });
}

#[test]
fn small_files_of_another_length_are_broken() {
    let setup = Setup::new();
    setup.hub.fail("GET /org/name/resolve/", Fault::Short(3), usize::MAX);
    let error = hub_error(setup.download());
    // `config.json` has 2 bytes.
    assert!(
        matches!(&error, HubError::Transfer { file, .. } if file == "tokenizer.json"),
        "{error}"
    );
    setup.assert_nothing_of("tokenizer.json");
}

#[test]
fn entity_tags_stay_in_the_cache() {
    for tag in ["../../../escaped", "..", "", "a/b"] {
        let setup = Setup::new();
        setup.hub.fail(
            "HEAD",
            Fault::Header("X-Linked-Etag", Some(format!("\"{tag}\""))),
            usize::MAX,
        );
        let error = hub_error(setup.download());
        assert!(matches!(error, HubError::Response { .. }), "{tag}: {error}");
        assert_eq!(fs::read_dir(setup.cache.path()).unwrap().count(), 0);
    }
}

#[test]
fn weak_entity_tags_name_the_contents() {
    let setup = Setup::new();
    setup.hub.fail("config.json", Fault::Header("ETag", Some("W/\"weak\"".to_owned())), usize::MAX);
    setup.download().unwrap();
    assert_eq!(fs::read(setup.folder().join("blobs/weak")).unwrap(), b"{}");
}
