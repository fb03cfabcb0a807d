//! Answers of the Hub and of its content network.

use std::sync::Arc;

use crate::{Repository, Request, State, StoredFile};

/// Query that the content network requires.
const SIGNATURE: &str = "?signature=valid";

/// Answer before faults.
#[derive(Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Arc<Vec<u8>>,
}

impl Answer {
    fn new(status: u16, headers: &[(&str, &str)]) -> Self {
        let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        Self { status, headers: headers.iter().map(own).collect(), body: Arc::default() }
    }

    fn error(status: u16, code: &str) -> Self {
        Self::new(status, &[("X-Error-Code", code)])
    }

    fn json(text: String) -> Self {
        let answer = Self::new(200, &[("Content-Type", "application/json")]);
        Self { body: Arc::new(text.into_bytes()), ..answer }
    }
}

/// Answers a request.
pub fn answer(state: &State, request: &Request) -> Answer {
    let path = request.path.as_str();
    if request.is_contents {
        return contents(state, path);
    }
    let path = path.split('?').next().unwrap_or(path);
    if let Some(rest) = path.strip_prefix("/api/models/") {
        let parts = ["/revision/", "/tree/"].map(|part| rest.split_once(part));
        let ([None, Some((id, revision))] | [Some((id, revision)), _]) = parts else {
            return Answer::new(404, &[]);
        };
        let is_tree = parts[0].is_none();
        return with_commit(state, request, id, revision, |commit, repository| {
            description(commit, repository, is_tree)
        });
    }
    let Some((id, (revision, file))) =
        path[1..].split_once("/resolve/").and_then(|(id, rest)| Some((id, rest.split_once('/')?)))
    else {
        return Answer::new(404, &[]);
    };
    with_commit(state, request, id, revision, |commit, repository| {
        match repository.commits[commit].get(file) {
            Some(stored) => file_answer(state, commit, stored),
            None => {
                Answer::new(404, &[("X-Error-Code", "EntryNotFound"), ("X-Repo-Commit", commit)])
            }
        }
    })
}

/// Answers for a commit, or says why the requester may not see it.
fn with_commit(
    state: &State,
    request: &Request,
    id: &str,
    revision: &str,
    answer: impl FnOnce(&str, &Repository) -> Answer,
) -> Answer {
    if let Some(new) = state.renamed.get(id) {
        return Answer::new(307, &[("Location", &request.path.replacen(id, new, 1))]);
    }
    let Some(repository) = state.repositories.get(id) else {
        return Answer::error(401, "RepoNotFound");
    };
    if let Some(token) = &repository.token
        && request.authorization.as_deref() != Some(&format!("Bearer {token}"))
    {
        return Answer::error(
            401,
            if request.authorization.is_some() { "" } else { "RepoNotFound" },
        );
    }
    if repository.is_gated {
        return Answer::error(403, "GatedRepo");
    }
    let revision = revision.replace("%2F", "/");
    let commit = repository.revisions.get(&revision).unwrap_or(&revision);
    if !repository.commits.contains_key(commit) {
        return Answer::error(404, "RevisionNotFound");
    }
    answer(commit, repository)
}

fn description(commit: &str, repository: &Repository, is_tree: bool) -> Answer {
    let files = &repository.commits[commit];
    if is_tree {
        let entry = |(name, file): (&String, &StoredFile)| {
            let (oid, size) = (&file.sha256[..40], file.bytes.len());
            let lfs =
                format!(r#","lfs":{{"oid":"{}","size":{size},"pointerSize":130}}"#, file.sha256);
            let lfs = if file.is_large { lfs } else { String::new() };
            format!(r#"{{"type":"file","path":"{name}","size":{size},"oid":"{oid}"{lfs}}}"#)
        };
        let entries: Vec<String> = files.iter().map(entry).collect();
        return Answer::json(format!("[{}]", entries.join(",")));
    }
    let files: Vec<String> =
        files.keys().map(|name| format!(r#"{{"rfilename":"{name}"}}"#)).collect();
    Answer::json(format!(
        r#"{{"id":"m","private":false,"tags":[],"downloads":0,"sha":"{commit}","siblings":[{}]}}"#,
        files.join(",")
    ))
}

fn file_answer(state: &State, commit: &str, file: &StoredFile) -> Answer {
    if !file.is_large {
        let etag = format!("\"{}\"", &file.sha256[..40]);
        let answer = Answer::new(200, &[("ETag", &etag), ("X-Repo-Commit", commit)]);
        return Answer { body: file.bytes.clone(), ..answer };
    }
    let location = state.contents.map(|to| format!("http://{to}/blob/{}{SIGNATURE}", file.sha256));
    Answer::new(
        302,
        &[
            ("Location", &location.unwrap_or_default()),
            ("X-Linked-Etag", &format!("\"{}\"", file.sha256)),
            ("X-Linked-Size", &file.bytes.len().to_string()),
            ("X-Repo-Commit", commit),
        ],
    )
}

fn contents(state: &State, path: &str) -> Answer {
    let Some(sha256) = path.strip_suffix(SIGNATURE).and_then(|path| path.strip_prefix("/blob/"))
    else {
        return Answer::new(403, &[]);
    };
    let commits = state.repositories.values().flat_map(|repository| repository.commits.values());
    let found = commits.flat_map(|files| files.values()).find(|file| file.sha256 == sha256);
    match found {
        Some(file) => {
            // The content network has entity tags of its own.
            let answer = Answer::new(200, &[("ETag", "\"other\""), ("Accept-Ranges", "bytes")]);
            Answer { body: file.bytes.clone(), ..answer }
        }
        None => Answer::new(404, &[]),
    }
}
