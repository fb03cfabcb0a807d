//! [`Repository`]: the name and revision of a model on the Hub.

use crate::error::HubError;

/// Longest part of a name, in bytes.
const MAX_NAME: usize = 96;
/// Length of a commit's name, in hexadecimal digits.
const COMMIT: usize = 40;

/// Valid name and revision of a model.
#[derive(Clone, Debug)]
pub(super) struct Repository {
    pub id: String,
    pub revision: String,
}

impl Repository {
    /// Checks a name and a revision.
    ///
    /// # Errors
    /// [`HubError::InvalidId`] or [`HubError::InvalidRevision`].
    pub fn new(id: &str, revision: &str) -> Result<Self, HubError> {
        if let Some(reason) = defect(id) {
            return Err(HubError::InvalidId { id: id.to_owned(), reason });
        }
        // The revision names a file in the cache.
        let valid = revision.split('/').all(is_file_name);
        if !valid {
            return Err(HubError::InvalidRevision { revision: revision.to_owned() });
        }
        Ok(Self { id: id.to_owned(), revision: revision.to_owned() })
    }

    /// Returns `true` if the revision is a commit, which never changes.
    pub fn is_commit(&self) -> bool {
        self.revision.len() == COMMIT && self.revision.bytes().all(|byte| byte.is_ascii_hexdigit())
    }

    /// Returns the name of the repository's folder in the cache.
    pub fn folder(&self) -> String {
        format!("models--{}", self.id.replace('/', "--"))
    }

    /// Returns the path of the revision's description on the Hub.
    pub fn description_path(&self) -> String {
        format!("/api/models/{}/revision/{}", self.id, encoded(&self.revision, ""))
    }

    /// Returns the path of a file on the Hub.
    pub fn file_path(&self, commit: &str, file: &str) -> String {
        format!("/{}/resolve/{}/{}", self.id, encoded(commit, ""), encoded(file, "/"))
    }
}

/// Returns the rule that a name breaks. The rules are those of Hugging Face's tools.
fn defect(id: &str) -> Option<&'static str> {
    let parts: Vec<&str> = id.split('/').collect();
    let ends = |part: &str| part.starts_with(['-', '.']) || part.ends_with(['-', '.']);
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if parts.len() > 2 || parts.iter().any(|part| part.is_empty()) {
        Some("expected `organization/name` or `name`")
    } else if !parts.iter().all(|part| part.bytes().all(is_valid)) {
        Some("expected letters, digits, `-`, `_` and `.`")
    } else if parts.iter().any(|part| ends(part)) {
        Some("expected a letter, a digit or `_` at both ends")
    } else if parts.iter().any(|part| part.len() > MAX_NAME) {
        Some("expected at most 96 characters")
    } else if id.contains("--") || id.contains("..") {
        Some("expected no `--` or `..`")
    } else if id.ends_with(".git") {
        Some("expected no `.git` at the end")
    } else {
        None
    }
}

/// Returns `true` if a part of an answer or of a revision is safe as the name of a file.
pub(super) fn is_file_name(name: &str) -> bool {
    let is_valid = |symbol: char| !symbol.is_control() && !"/\\:".contains(symbol);
    !["", ".", ".."].contains(&name) && name.len() < 200 && name.chars().all(is_valid)
}

/// Percent-encodes all but unreserved characters and those in `kept`.
fn encoded(text: &str, kept: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        let symbol = char::from(byte);
        if byte.is_ascii_alphanumeric() || "-._~".contains(symbol) || kept.contains(symbol) {
            encoded.push(symbol);
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_names_that_the_hub_accepts() {
        for id in ["gpt2", "org/name", "Foo-BAR_foo.bar123", "a/b", "123"] {
            assert!(Repository::new(id, "main").is_ok(), "{id}");
        }
        let long = "x".repeat(97);
        for id in [
            "", "/", "a/", "/a", "a/b/c", "./a", "../a", "a/..", "~/a", "a b", "a--b", "a..b",
            "a.git", "-a", "a/b.", "ä/b", "a\\b", "a?b", "a/b#c", &long,
        ] {
            let error = Repository::new(id, "main").unwrap_err();
            assert!(matches!(error, HubError::InvalidId { .. }), "{id}: {error}");
        }
    }

    #[test]
    fn revisions_stay_in_their_folder() {
        for revision in ["main", "refs/pr/1", "v1.0", "feature/a b"] {
            assert!(Repository::new("a/b", revision).is_ok(), "{revision}");
        }
        for revision in ["", "..", "../x", "a/../b", "/etc", "a//b", "a\\b", "a\nb"] {
            let error = Repository::new("a/b", revision).unwrap_err();
            assert!(matches!(error, HubError::InvalidRevision { .. }), "{revision}: {error}");
        }
    }

    #[test]
    fn paths_are_encoded() {
        let repository = Repository::new("org/name", "refs/pr/1").unwrap();
        assert_eq!(repository.folder(), "models--org--name");
        assert_eq!(repository.description_path(), "/api/models/org/name/revision/refs%2Fpr%2F1");
        let path = repository.file_path("abc", "folder/a b?.json");
        assert_eq!(path, "/org/name/resolve/abc/folder/a%20b%3F.json");
        assert!(Repository::new("a", &"0a".repeat(20)).unwrap().is_commit());
        assert!(!repository.is_commit());
    }
}
