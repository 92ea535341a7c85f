//! What the head of a request says of who sends it: which client, by which way, from which page,
//! and with which session.
//!
//! No form and no page of another site can send what changes something: both would have to set a
//! header of ours, which a browser asks our leave for and does not get, and browsers say which page
//! a request comes from. Start reading at [`Guard::of`].

use std::net::SocketAddr;

use hyper::HeaderMap;
use hyper::header::{AsHeaderName, CONTENT_TYPE, COOKIE, HOST, ORIGIN};

use crate::client_addr::{ClientAddr, is_trusted};
use crate::config::HttpConfig;

/// What is believed of a request's head.
pub(super) struct Guard<'a> {
    headers: &'a HeaderMap,
    /// Who asks.
    pub(super) client: ClientAddr,
    /// Whether the request came by a proxy that is trusted.
    by_proxy: bool,
}

impl<'a> Guard<'a> {
    /// Of a request with `headers` that came from `peer`.
    pub(super) fn of(headers: &'a HeaderMap, peer: SocketAddr, http: &HttpConfig) -> Self {
        let forwarded = headers.get_all("x-forwarded-for").into_iter();
        let client = ClientAddr::find(
            peer.ip(),
            forwarded.map(|value| value.as_bytes()),
            headers.get("x-real-ip").map(|value| value.as_bytes()),
            &http.trusted_proxies,
        );
        Self { headers, client, by_proxy: is_trusted(peer.ip(), &http.trusted_proxies) }
    }

    /// Whether the browser's own connection has TLS, so that its cookie can be kept to such.
    pub(super) fn is_https(&self) -> bool {
        // Of several proxies the first, which the browser spoke to, says it first.
        let said = self.proxied("x-forwarded-proto");
        said.is_some_and(|said| said.split(',').next().unwrap_or("").trim() == "https")
    }

    /// Why a request that changes something is refused, if it is.
    pub(super) fn refuses(&self) -> Option<&'static str> {
        let content_type = self.text(CONTENT_TYPE).unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("application/json") {
            return Some("send it as Content-Type: application/json");
        }
        if self.text("x-live-view") != Some("1") {
            return Some("send the header X-Live-View: 1");
        }
        if !self.is_of_our_page() {
            return Some(
                "the request does not come from this page; behind a proxy, let it pass Host on \
                 (nginx: proxy_set_header Host $http_host)",
            );
        }
        None
    }

    /// Whether the browser says that a page of ours sends the request, or is none that says so.
    fn is_of_our_page(&self) -> bool {
        // It says so itself, and no page can make it say something else.
        if self.headers.contains_key("sec-fetch-site") {
            return self.text("sec-fetch-site") == Some("same-origin");
        }
        // Over plain HTTP it says only where the page is from.
        let Some(origin) = self.headers.get(ORIGIN) else {
            return true;
        };
        let site = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        let Some((_, site)) = site else {
            return false;
        };
        let hosts = [self.text(HOST), self.proxied("x-forwarded-host")];
        hosts.into_iter().flatten().any(|host| host.eq_ignore_ascii_case(site))
    }

    /// The values of the cookies `name`. Another port of the same host can set one as well, and a
    /// browser may send it before ours.
    pub(super) fn cookies(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let headers = self.headers.get_all(COOKIE).into_iter();
        let cookies = headers.filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(';'));
        cookies
            .filter_map(|cookie| cookie.trim().split_once('='))
            .filter_map(move |(key, value)| (key == name).then_some(value))
    }

    /// The worker's secret, if the request claims to have it.
    pub(super) fn secret(&self) -> Option<&'a [u8]> {
        self.headers.get("x-worker-secret").map(|secret| secret.as_bytes().trim_ascii())
    }

    /// What a trusted proxy says.
    fn proxied(&self, name: &'static str) -> Option<&'a str> {
        self.text(name).filter(|_| self.by_proxy)
    }

    fn text(&self, name: impl AsHeaderName) -> Option<&'a str> {
        self.headers.get(name)?.to_str().ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    const GOOD: [(&str, &str); 3] =
        [("content-type", "application/json"), ("x-live-view", "1"), ("host", "h:9001")];

    fn headers(of: &[(&'static str, &str)]) -> HeaderMap {
        let parsed = of.iter().map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        });
        parsed.collect()
    }

    fn guarded<T>(peer: &str, of: &[(&'static str, &str)], ask: impl FnOnce(&Guard<'_>) -> T) -> T {
        let http = HttpConfig {
            request_timeout: Duration::from_secs(10),
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
            metrics_allow: vec![],
        };
        let headers = headers(of);
        ask(&Guard::of(&headers, SocketAddr::new(peer.parse().unwrap(), 1), &http))
    }

    fn refused(more: &[(&'static str, &str)]) -> bool {
        let all = [&GOOD[..], more].concat();
        guarded("192.0.2.7", &all, |guard| guard.refuses().is_some())
    }

    #[test]
    fn a_request_needs_json_and_our_header() {
        assert!(!refused(&[]));
        for left_out in 0..2 {
            let mut some = GOOD.to_vec();
            some.remove(left_out);
            assert!(guarded("192.0.2.7", &some, |guard| guard.refuses().is_some()), "{some:?}");
        }
        for form in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
            let some = [("content-type", form), ("x-live-view", "1")];
            assert!(guarded("192.0.2.7", &some, |guard| guard.refuses().is_some()), "{form}");
        }
        let utf8 = [("content-type", "application/json; charset=utf-8"), ("x-live-view", "1")];
        assert!(guarded("192.0.2.7", &utf8, |guard| guard.refuses().is_none()));
    }

    #[test]
    fn a_page_of_another_site_is_refused() {
        assert!(!refused(&[("origin", "http://h:9001")]));
        assert!(!refused(&[("origin", "https://h:9001")]));
        assert!(!refused(&[("sec-fetch-site", "same-origin"), ("origin", "https://site.example")]));
        for origin in ["http://h", "http://h:9002", "https://evil.example", "null", "", "h:9001"] {
            assert!(refused(&[("origin", origin)]), "{origin}");
        }
        for site in ["cross-site", "same-site", "none", ""] {
            assert!(refused(&[("sec-fetch-site", site), ("origin", "http://h:9001")]), "{site}");
        }
    }

    #[test]
    fn what_a_proxy_says_counts_if_it_is_trusted() {
        let said = [
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "site.example"),
            ("x-forwarded-for", "198.51.100.1"),
            ("origin", "https://site.example"),
        ];
        let all = [&GOOD[..], &said].concat();
        let seen = |guard: &Guard<'_>| {
            (guard.is_https(), guard.refuses().is_none(), guard.client.to_string())
        };

        assert_eq!(guarded("10.0.0.1", &all, seen), (true, true, "198.51.100.1".to_owned()));
        assert_eq!(guarded("192.0.2.7", &all, seen), (false, false, "192.0.2.7".to_owned()));
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let all = [("cookie", "a=1; live=abc ;live_2=x"), ("cookie", "b=2; live=def")];

        guarded("192.0.2.7", &all, |guard| {
            let values = |name| guard.cookies(name).collect::<Vec<_>>();
            assert_eq!(values("live"), ["abc", "def"]);
            assert_eq!(values("b"), ["2"]);
            assert_eq!(values("liv"), [""; 0]);
        });
    }
}
