//! What an answer to a request for a WebSocket means: which of the many ways of being wrong it is.
//!
//! Pure. Start reading at [`judge`].

use hyper::HeaderMap;
use hyper::header::{CONTENT_TYPE, HeaderName, LOCATION, RETRY_AFTER};

use super::proxy::Wrong;

/// What came back.
#[derive(Debug, Clone)]
pub struct Heard {
    /// The status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// The beginning of its body.
    pub body: String,
}

/// Why there is no WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The worker says that it was asked for no upgrade.
    NoUpgrade,
    /// The worker says that no topic was named.
    NoTopic,
    /// The worker does not know the topic.
    UnknownTopic,
    /// A worker's own "404 page not found": another path, or its other port.
    OtherPath,
    /// The internal port answers.
    InternalPort,
    /// The worker cannot ask Redis about the topic.
    RedisAway,
    /// The worker takes no more browsers.
    Full,
    /// The proxy finds nobody behind it.
    NoWorker,
    /// Apache has no module for what it is to do.
    NoModule,
    /// Somebody asks for a name and a password.
    Login,
    /// Somebody forbids it.
    Forbidden,
    /// Somebody sends elsewhere.
    Elsewhere {
        /// Where.
        to: String,
    },
    /// A page of the site, or of the proxy.
    Page,
    /// The port wants TLS.
    WantsTls,
    /// The other way round: HTTP of another kind is wanted.
    Required,
    /// 101, but not of a WebSocket.
    BrokenUpgrade,
    /// What is none of these.
    Strange,
}

/// The header with which the internal port tells itself apart where a request is not PHP's.
const PORT: HeaderName = HeaderName::from_static("x-worker-port");

impl Heard {
    /// A header as text, or nothing.
    pub fn header(&self, name: HeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Whether it is a page for people.
    pub fn is_page(&self) -> bool {
        let body = self.body.trim_start().to_ascii_lowercase();
        self.header(CONTENT_TYPE).starts_with("text/html")
            || body.starts_with("<!doctype")
            || body.starts_with("<html")
    }

    /// Status and first words, for a person.
    pub fn brief(&self) -> String {
        const MOST: usize = 60;
        let line = self.body.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
        let words: String = line.trim().chars().map(plain).take(MOST).collect();
        match (self.is_page(), words.as_str()) {
            (true, _) => match title(&self.body) {
                Some(title) => format!("{}, a page \"{title}\"", self.status),
                None => format!("{}, a page", self.status),
            },
            (false, "") => self.status.to_string(),
            (false, words) => format!("{} \"{words}\"", self.status),
        }
    }
}

/// The title of a page.
fn title(body: &str) -> Option<String> {
    const MOST: usize = 60;
    let at = body.to_ascii_lowercase().find("<title>")? + "<title>".len();
    let rest = body.get(at..)?;
    let title = rest.split('<').next()?.trim();
    let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
    (!title.is_empty()).then(|| title.chars().map(plain).take(MOST).collect())
}

/// Why `heard` is no WebSocket; `None` if it is one. `accept` is the answer to the key that was
/// sent.
pub fn judge(heard: &Heard, accept: &str) -> Option<Fault> {
    let body = heard.body.trim();
    let is_worker = !heard.is_page();
    if heard.headers.contains_key(PORT) {
        return Some(Fault::InternalPort);
    }
    Some(match heard.status {
        101 => {
            let answered = heard.header(HeaderName::from_static("sec-websocket-accept"));
            return (answered != accept).then_some(Fault::BrokenUpgrade);
        }
        400 if is_worker && body == "missing topic" => Fault::NoTopic,
        400 if is_worker && body.eq_ignore_ascii_case("bad request") => Fault::NoUpgrade,
        400 if body.contains("plain HTTP request was sent to HTTPS port")
            || body.contains("speaking plain HTTP to an SSL-enabled server port")
            || body.contains("Client sent an HTTP request to an HTTPS server") =>
        {
            Fault::WantsTls
        }
        404 if is_worker && body == "topic not registered" => Fault::UnknownTopic,
        404 if is_worker && body == "404 page not found" => Fault::OtherPath,
        403 if is_worker && body == "forbidden" => Fault::InternalPort,
        405 if is_worker && body == "method not allowed" => Fault::InternalPort,
        503 if body == "topic cannot be looked up now" => Fault::RedisAway,
        // Said before anything is read, so without a word.
        503 if body.is_empty() && heard.header(RETRY_AFTER) == "5" => Fault::Full,
        500 if body.contains("Internal Server Error") && body.contains("server administrator") => {
            Fault::NoModule
        }
        502..=504 | 521..=523 => Fault::NoWorker,
        401 | 407 => Fault::Login,
        403 => Fault::Forbidden,
        301 | 302 | 303 | 307 | 308 => {
            Fault::Elsewhere { to: heard.header(LOCATION).chars().take(200).collect() }
        }
        426 => Fault::Required,
        200..=299 | 404 | 405 | 410 => Fault::Page,
        _ => Fault::Strange,
    })
}

impl Fault {
    /// What the proxy does wrong, if it is the proxy.
    pub fn of_proxy(&self) -> Option<Wrong> {
        Some(match self {
            Self::NoUpgrade | Self::BrokenUpgrade | Self::Required => Wrong::Upgrade,
            Self::NoTopic => Wrong::Query,
            Self::OtherPath => Wrong::Path,
            Self::InternalPort => Wrong::InternalPort,
            Self::NoWorker => Wrong::NoWorker,
            Self::NoModule | Self::Page => Wrong::NotPassed,
            _ => return None,
        })
    }

    /// It in one line.
    pub fn words(&self) -> String {
        match self {
            Self::NoUpgrade => {
                "the worker is reached, but the headers Upgrade and Connection are lost on the way"
            }
            Self::NoTopic => {
                "the worker is reached, but the query with the topic is lost on the way"
            }
            Self::UnknownTopic => "a worker is reached that does not know this topic",
            Self::OtherPath => "a worker is reached, but under another path than /ws",
            Self::InternalPort => {
                "the request comes to the worker's internal port, which is for PHP alone"
            }
            Self::RedisAway => "the worker is reached, and Redis does not answer it",
            Self::Full => {
                "the worker is reached, and takes no more browsers: nearly all files are open"
            }
            Self::NoWorker => "the proxy is reached, and it finds no worker",
            Self::NoModule => "Apache has no module to pass the request on",
            Self::Login => {
                "somebody asks for a name and a password, which a WebSocket does not have"
            }
            Self::Forbidden => {
                "somebody in front of the worker forbids it: a rule of the proxy, or a firewall"
            }
            Self::Elsewhere { to }
                if to.starts_with("https://") || to.starts_with('/') || to.starts_with("http") =>
            {
                return format!("somebody sends the browser to {to}, and a WebSocket does not go");
            }
            Self::Elsewhere { .. } => {
                "somebody sends the browser elsewhere, and a WebSocket does not go"
            }
            Self::Page => {
                "the site or the proxy answers, not the worker: the path is not passed on"
            }
            Self::WantsTls => "the port speaks TLS, and was asked without",
            Self::Required => "the proxy wants an upgrade and did not see one",
            Self::BrokenUpgrade => "the answer is 101, but without the right Sec-WebSocket-Accept",
            Self::Strange => "no worker answers so",
        }
        .to_owned()
    }

    /// Whether a worker answered.
    pub fn is_from_worker(&self) -> bool {
        matches!(
            self,
            Self::NoUpgrade
                | Self::NoTopic
                | Self::UnknownTopic
                | Self::OtherPath
                | Self::InternalPort
                | Self::RedisAway
                | Self::Full
        )
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn heard(status: u16, headers: &[(&'static str, &str)], body: &str) -> Heard {
        let headers = headers.iter().map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        });
        Heard { status, headers: headers.collect(), body: body.to_owned() }
    }

    #[test]
    fn each_way_of_being_wrong_is_told_from_the_others() {
        let html = "<html><head><title>404 Not Found</title></head></html>";
        for (heard, fault) in [
            (heard(400, &[("sec-websocket-version", "13")], "Bad Request\n"), Fault::NoUpgrade),
            (heard(400, &[], "missing topic\n"), Fault::NoTopic),
            (heard(404, &[], "topic not registered\n"), Fault::UnknownTopic),
            (heard(404, &[], "404 page not found\n"), Fault::OtherPath),
            (
                heard(404, &[("x-worker-port", "internal")], "404 page not found\n"),
                Fault::InternalPort,
            ),
            (heard(403, &[], "forbidden\n"), Fault::InternalPort),
            (heard(404, &[], html), Fault::Page),
            (heard(200, &[("content-type", "text/html")], "Log in"), Fault::Page),
            (heard(403, &[], "<html>Forbidden</html>"), Fault::Forbidden),
            (heard(401, &[], ""), Fault::Login),
            (heard(502, &[], ""), Fault::NoWorker),
            (heard(503, &[], ""), Fault::NoWorker),
            (heard(503, &[("retry-after", "5")], ""), Fault::Full),
            (heard(503, &[], "topic cannot be looked up now\n"), Fault::RedisAway),
            (
                heard(301, &[("location", "https://a/ws")], ""),
                Fault::Elsewhere { to: "https://a/ws".to_owned() },
            ),
            (
                heard(400, &[], "<html>The plain HTTP request was sent to HTTPS port</html>"),
                Fault::WantsTls,
            ),
            (heard(101, &[], ""), Fault::BrokenUpgrade),
            (heard(418, &[], ""), Fault::Strange),
        ] {
            assert_eq!(judge(&heard, "right"), Some(fault), "{heard:?}");
        }
        assert_eq!(judge(&heard(101, &[("sec-websocket-accept", "right")], ""), "right"), None);
    }

    #[test]
    fn an_answer_is_shown_briefly_and_without_what_a_terminal_would_obey() {
        assert_eq!(
            heard(404, &[], "<html><TITLE>Not\u{1b}[31m here</title>").brief(),
            "404, a page \"Not [31m here\""
        );
        assert_eq!(heard(400, &[], "\n missing topic\n").brief(), "400 \"missing topic\"");
        assert_eq!(heard(204, &[], "").brief(), "204");
    }

    proptest! {
        #[test]
        fn any_body_is_judged_without_a_panic(status in 100_u16..600, body in "\\PC{0,40}(<title>\\PC{0,9})?") {
            let heard = heard(status, &[], &body);
            let _ = (judge(&heard, "a"), heard.brief());
        }
    }
}
