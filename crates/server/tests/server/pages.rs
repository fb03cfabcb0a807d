//! The pages for people and the description of the API.

use distilbert_server::Settings;
use serde_json::{Value, json};

use crate::client::{Response, settings, start, start_with};

const PAGES: [&str; 8] = [
    "/",
    "/docs",
    "/assets/page.css",
    "/assets/page.js",
    "/assets/client.js",
    "/assets/drawing.js",
    "/assets/docs.js",
    "/assets/icon.svg",
];

#[test]
fn pages_allow_nothing_from_elsewhere() {
    let server = start();
    for path in PAGES {
        let page = server.get(path);
        assert_eq!(page.status, 200, "{path}");
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        let elsewhere = page.body.replace("http://www.w3.org/2000/svg", "");
        assert!(!elsewhere.contains("http://") && !elsewhere.contains("https://"), "{path}");
    }
    for path in ["/", "/docs"] {
        let page = server.get(path).body;
        assert!(!page.contains("<style") && !page.contains(" style="), "{path}");
        assert_eq!(page.matches("<script").count(), page.matches("></script>").count());
    }
    server.get("/assets/other.js").fails(404, "NotFound");
}

#[test]
fn unchanged_pages_are_not_sent_again() {
    let server = start();
    let again = |path: &str, tags: &str| -> Response {
        server.send(&format!(
            "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\nif-none-match: {tags}\r\n\r\n"
        ))
    };
    for path in PAGES.into_iter().chain(["/openapi.json"]) {
        let page = server.get(path);
        assert_eq!(page.header("cache-control"), Some("no-cache"));
        let tag = page.header("etag").unwrap().to_owned();
        for tags in [tag.clone(), format!("\"0\", W/{tag}"), "*".to_owned()] {
            let unchanged = again(path, &tags);
            assert_eq!((unchanged.status, unchanged.body.len()), (304, 0), "{path} {tags}");
            assert_eq!(unchanged.header("etag"), Some(tag.as_str()));
        }
        assert_eq!(again(path, "\"0\"").status, 200);
    }
    assert_eq!(server.get("/info").header("cache-control"), Some("no-store"));
}

#[test]
fn pages_need_no_key_but_their_requests_do() {
    let settings = Settings { api_key: Some("secret".to_owned()), ..settings() };
    let server = start_with(settings, |queue| queue);
    for path in PAGES.into_iter().chain(["/openapi.json"]) {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    for path in ["/", "/docs", "/health"] {
        server.post(path, r#"{"inputs": "w4"}"#).fails(401, "Unauthorized");
    }
    server.get("/v2/models").fails(401, "Unauthorized");
}

fn description() -> Value {
    start().get("/openapi.json").ok()
}

/// Returns the path, the method and the description of each operation.
fn operations(api: &Value) -> Vec<(String, String, Value)> {
    let paths = api["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, item)| {
        let item = item.as_object().unwrap();
        item.iter().map(|(method, operation)| (path.clone(), method.clone(), operation.clone()))
    });
    operations.collect()
}

#[test]
fn the_description_is_complete() {
    let api = description();
    assert_eq!(api["openapi"], "3.1.0");
    let mut ids = std::collections::HashSet::new();
    for (path, method, operation) in operations(&api) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id.to_owned()), "{id} twice");
        assert!(operation["summary"].is_string(), "{method} {path}");
        assert!(operation["responses"]["200"].is_object(), "{method} {path}");
        if method == "post" && path != "/v2/repository/index" {
            for status in ["400", "401", "404", "408", "413", "422", "429", "500", "503", "504"] {
                assert!(operation["responses"][status].is_object(), "{status} of {path}");
            }
        }
        let named = path.matches('{').count();
        let parameters = operation["parameters"].as_array().map_or(0, Vec::len);
        assert_eq!(parameters, named, "{path}");
    }
    assert!(ids.len() > 25, "{}", ids.len());
}

#[test]
fn every_described_path_answers() {
    let server = start();
    for (path, method, _) in operations(&server.get("/openapi.json").ok()) {
        let path = path.replace("/assets/{name}", "/assets/page.js");
        let path = path.replace("{name}", "small").replace("{version}", "1");
        let response = if method == "get" { server.get(&path) } else { server.post(&path, "{}") };
        let expected = if method == "get" || path == "/v2/repository/index" { 200 } else { 400 };
        assert_eq!(response.status, expected, "{method} {path}: {}", response.body);
    }
}

#[test]
fn explanations_come_with_pictures_or_as_a_page() {
    let server = start();
    let body = json!({"inputs": "w7 w8", "parameters": {"pictures": true}}).to_string();
    let found = server.post("/explain", &body).ok();
    let picture = found["pictures"]["words-by-relevance.svg"].as_str().unwrap();
    assert!(picture.starts_with("<svg") && picture.contains("w7"));
    assert_eq!(found["words"].as_array().unwrap().len(), 2);
    let page = server.post_with("/explain", "accept: text/html\r\n", body.as_bytes());
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.body.starts_with("<!doctype html>") || page.body.starts_with("<!DOCTYPE html>"));
}
