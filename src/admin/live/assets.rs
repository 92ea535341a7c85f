//! The files of the page, which are a part of the program.
//!
//! Everybody may see them; what they show needs a session. A browser keeps them and asks whether
//! they have changed.

use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH};
use hyper::{HeaderMap, StatusCode};
use sha2::{Digest, Sha256};

use super::super::Answer;
use super::answer;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Where each is, its type, and what it says.
const FILES: &[(&str, &str, &str)] = &[
    ("/", HTML, include_str!("page/index.html")),
    ("/live/page.css", CSS, include_str!("page/page.css")),
    ("/live/icon.svg", SVG, include_str!("page/icon.svg")),
    ("/live/chart.js", SCRIPT, include_str!("page/chart.js")),
    ("/live/dom.js", SCRIPT, include_str!("page/dom.js")),
    ("/live/format.js", SCRIPT, include_str!("page/format.js")),
    ("/live/json.js", SCRIPT, include_str!("page/json.js")),
    ("/live/main.js", SCRIPT, include_str!("page/main.js")),
    ("/live/overview.js", SCRIPT, include_str!("page/overview.js")),
    ("/live/poll.js", SCRIPT, include_str!("page/poll.js")),
    ("/live/problems.js", SCRIPT, include_str!("page/problems.js")),
    ("/live/samples.js", SCRIPT, include_str!("page/samples.js")),
    ("/live/scale.js", SCRIPT, include_str!("page/scale.js")),
    ("/live/server.js", SCRIPT, include_str!("page/server.js")),
    ("/live/settings.js", SCRIPT, include_str!("page/settings.js")),
    ("/live/tail.js", SCRIPT, include_str!("page/tail.js")),
    ("/live/topic.js", SCRIPT, include_str!("page/topic.js")),
    ("/live/topics.js", SCRIPT, include_str!("page/topics.js")),
    ("/live/verdict.js", SCRIPT, include_str!("page/verdict.js")),
];

/// The files, each with a tag by which a browser knows that it has changed.
#[derive(Debug)]
pub(super) struct Assets {
    tags: Vec<HeaderValue>,
}

impl Assets {
    /// All of them.
    pub(super) fn new() -> Self {
        let tag = |(_, _, text): &(_, _, &str)| {
            let hash = Sha256::digest(text.as_bytes());
            let tag = format!("\"{}\"", base16ct::lower::encode_string(&hash[..12]));
            HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"\"")) // It is ASCII.
        };
        Self { tags: FILES.iter().map(tag).collect() }
    }

    /// The file at `path`, if there is one.
    pub(super) fn answer(&self, path: &str, headers: &HeaderMap) -> Option<Answer> {
        let place = FILES.iter().position(|(known, ..)| *known == path)?;
        let (_, content_type, text) = FILES[place];
        let tag = &self.tags[place];
        let is_known = headers
            .get_all(IF_NONE_MATCH)
            .into_iter()
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
            .any(|known| known.strip_prefix(b"W/").unwrap_or(known) == tag.as_bytes());
        let mut answer = if is_known {
            let mut unchanged = answer::done();
            *unchanged.status_mut() = StatusCode::NOT_MODIFIED;
            unchanged
        } else {
            answer::with_type(content_type, Bytes::from_static(text.as_bytes()))
        };
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(ETAG, tag.clone());
        Some(answer)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::path::Path;

    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_file_comes_whole_and_only_if_the_browser_does_not_have_it() {
        let mut headers = HeaderMap::new();
        let assets = Assets::new();
        let first = assets.answer("/", &headers).unwrap();
        let tag = first.headers()[ETAG].clone();
        let body = first.into_body().collect().await.unwrap().to_bytes();
        assert!(body.starts_with(b"<!doctype html>"));

        headers.insert(IF_NONE_MATCH, tag);
        let again = assets.answer("/", &headers).unwrap();

        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(again.headers()[CACHE_CONTROL], "no-cache");
        assert!(assets.answer("/live/other.js", &headers).is_none());
    }

    #[test]
    fn every_file_of_the_page_is_served() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/admin/live/page");
        let served: HashSet<&str> =
            FILES.iter().map(|(path, ..)| path.rsplit('/').next().unwrap()).collect();
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let path = if name == "index.html" { "" } else { &name };
            assert!(served.contains(path), "{name} is not in the table of assets.rs");
        }
    }
}
