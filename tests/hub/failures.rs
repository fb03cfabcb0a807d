//! Models that the Hub doesn't deliver.

use std::error::Error as _;

use hub_stand_in::Fault;

use super::*;

/// Address at which nothing listens.
fn nowhere() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn unknown_names_are_told_apart() {
    let setup = Setup::new();
    let error = hub_error(snapshot_download("org/other", &setup.options()));
    assert!(matches!(&error, HubError::RepositoryNotFound { id, .. } if id == "org/other"));
    let error = hub_error(snapshot_download(ID, &setup.options().revision("v9")));
    assert!(matches!(&error, HubError::RevisionNotFound { revision, .. } if revision == "v9"));
    setup.hub.publish("org/empty", "main", &[("README.md", b"")]);
    let error = hub_error(snapshot_download("org/empty", &setup.options()));
    assert!(matches!(&error, HubError::FileNotFound { file, .. } if file == "config.json"));
    let error = hub_error(snapshot_download("no/such/name", &setup.options()));
    assert!(matches!(error, HubError::InvalidId { .. }));
    let error = hub_error(snapshot_download(ID, &setup.options().revision("../x")));
    assert!(matches!(error, HubError::InvalidRevision { .. }));
}

#[test]
fn bare_statuses_are_understood() {
    let setup = Setup::new();
    for (status, revision, expected) in [
        (404, "main", "has no model"),
        (404, "v9", "no revision `v9`"),
        (401, "main", "denies access"),
        (403, "main", "denies access"),
        (429, "main", "HTTP status 429"),
    ] {
        setup.hub.fail("GET /api/", Fault::Status(status), 1);
        let options = setup.options().revision(revision);
        let message = hub_error(snapshot_download(ID, &options)).to_string();
        assert!(message.contains(expected), "{status}: {message}");
    }
}

#[test]
fn private_and_gated_models_need_a_token() {
    let setup = Setup::new();
    setup.hub.require_token(ID, "hf_secret");
    assert!(matches!(hub_error(setup.download()), HubError::RepositoryNotFound { .. }));
    let error = hub_error(snapshot_download(ID, &setup.options().token("hf_wrong")));
    assert!(matches!(error, HubError::Unauthorized { status: 401, .. }), "{error}");
    setup.requests();
    snapshot_download(ID, &setup.options().token("hf_secret")).unwrap();
    for request in setup.hub.take_requests() {
        let expected = (!request.is_contents).then_some("Bearer hf_secret");
        assert_eq!(request.authorization.as_deref(), expected, "{request:?}");
    }
    setup.hub.publish("org/gated", "main", &files());
    setup.hub.gate("org/gated");
    let error = hub_error(snapshot_download("org/gated", &setup.options()));
    assert!(matches!(error, HubError::Gated { .. }), "{error}");
}

#[test]
fn unreachable_hub_leaves_the_cache() {
    let setup = Setup::new();
    let unreachable = options(&nowhere(), setup.cache.path());
    let error = hub_error(snapshot_download(ID, &unreachable));
    assert!(matches!(error, HubError::Network { .. }) && error.source().is_some(), "{error}");
    let folder = setup.download().unwrap();
    assert_eq!(snapshot_download(ID, &unreachable).unwrap(), folder);
}

#[test]
fn refusing_hub_leaves_the_cache() {
    let setup = Setup::new();
    let folder = setup.download().unwrap();
    for status in [401, 403, 404, 500] {
        setup.hub.fail("GET /api/", Fault::Status(status), 1);
        assert_eq!(setup.download().unwrap(), folder, "{status}");
    }
    // A revision that is gone is not a transient error.
    let error = hub_error(snapshot_download(ID, &setup.options().revision("gone")));
    assert!(matches!(error, HubError::RevisionNotFound { .. }), "{error}");
}

#[test]
fn errors_that_pass_are_retried() {
    let setup = Setup::new();
    setup.hub.fail("GET /api/", Fault::Status(503), 2);
    setup.hub.fail("HEAD", Fault::Hangup, 1);
    setup.download().unwrap();
    let requests = setup.requests();
    let descriptions = requests.iter().filter(|request| request.starts_with("GET /api/"));
    assert_eq!(descriptions.count(), 3);
}

#[test]
fn lasting_errors_are_reported() {
    let setup = Setup::new();
    setup.hub.fail("GET /api/", Fault::Status(502), usize::MAX);
    let error = hub_error(setup.download());
    assert!(matches!(error, HubError::Status { status: 502, .. }), "{error}");
    assert_eq!(setup.requests().len(), 5);
}

#[test]
fn answers_of_other_servers_are_recognized() {
    let setup = Setup::new();
    setup.hub.fail("GET /api/", Fault::Short(10), 1);
    let error = hub_error(setup.download());
    assert!(matches!(error, HubError::Response { .. }), "{error}");
    setup.hub.fail("HEAD", Fault::Header("ETag", None), usize::MAX);
    let error = hub_error(setup.download());
    assert!(error.to_string().contains("no ETag"), "{error}");
    let circle = Some(format!("/{ID}/resolve/main/config.json"));
    setup.hub.fail("GET /api/", Fault::Header("Location", circle), 1);
    setup.hub.fail("GET /api/", Fault::Status(200), 1);
    assert!(matches!(hub_error(setup.download()), HubError::Response { .. }));
}

#[test]
fn redirects_in_a_circle_end() {
    let setup = Setup::new();
    setup.hub.rename(ID, ID);
    let error = hub_error(setup.download());
    assert!(error.to_string().contains("redirects more than 10 times"), "{error}");
}
