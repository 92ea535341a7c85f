//! What is counted: the work of a publish and of a login, each step a case of its own.
//!
//! A case is made ready first, which is not counted, and then called [`CALLS`] times. What it is
//! given is what PHP and browsers send on an ordinary day.

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::Duration;

use wavelog_worker::config::RegistryConfig;
use wavelog_worker::protocol::frame::{Decoder, Flow, Incoming};
use wavelog_worker::protocol::{message, request::Publish};
use wavelog_worker::registry::{Lookup, Registry, TopicMeta};
use wavelog_worker::secret::Secret;
use wavelog_worker::token;
use wavelog_worker::ws::request;

use crate::audience::Audience;
use crate::cluster;

/// Calls that are counted; what is shown is the part of one.
pub const CALLS: u64 = 10;

/// Calls before those, for what happens once in a process.
pub const WARM_UP: u64 = 3;

/// Something whose instructions are counted.
pub struct Case {
    /// Its name in the table and in the baseline.
    pub name: &'static str,
    ready: fn() -> Box<dyn Call>,
}

/// All cases.
pub const ALL: &[Case] = &[
    Case { name: "publish-parse", ready: publish_parse },
    Case { name: "push-frame", ready: push_frame },
    Case { name: "registry-lookup", ready: registry_lookup },
    Case { name: "registry-register", ready: registry_register },
    Case { name: "hub-publish-1", ready: || Box::new(Audience::of(1)) },
    Case { name: "hub-publish-5", ready: || Box::new(Audience::of(5)) },
    Case { name: "hub-publish-1000", ready: || Box::new(Audience::of(1000)) },
    Case { name: "handshake-request", ready: handshake_request },
    Case { name: "handshake-auth-frame", ready: handshake_auth_frame },
    Case { name: "token-authorize", ready: token_authorize },
    Case { name: "envelope-offer", ready: cluster::offer },
    Case { name: "envelope-hear-ours", ready: cluster::hear_ours },
    Case { name: "envelope-hear-go", ready: cluster::hear_go },
];

/// What is called while instructions are counted.
pub trait Call {
    /// Does the work once.
    fn call(&mut self);

    /// Looks, when nothing is counted any more, whether all `calls` did what they should.
    fn check(&mut self, _calls: u64) {}
}

impl<F: FnMut()> Call for F {
    fn call(&mut self) {
        self();
    }
}

/// Runs the case of that name. Under callgrind, this is what is counted.
pub fn run(name: &str) -> Result<(), String> {
    let case = ALL.iter().find(|case| case.name == name);
    let mut case = (case.ok_or_else(|| format!("there is no case {name}"))?.ready)();
    for _ in 0..WARM_UP {
        case.call();
    }
    counted_section(&mut *case);
    case.check(WARM_UP + CALLS);
    Ok(())
}

/// Callgrind counts while this function runs, and knows it by its name.
#[inline(never)]
fn counted_section(case: &mut dyn Call) {
    for _ in 0..CALLS {
        case.call();
    }
}

/// The payload of 100 bytes that the cases publish.
pub const PAYLOAD: &str = r#"{"event":"qso_updated","id":1234567,"call":"DL1ABC","band":"20m","mode":"CW","rst":"599","dxcc":230}"#;

/// The topic.
pub const TOPIC: &str = "session.42";

/// A token for [`TOPIC`], good until 2100, as PHP mints it.
const TOKEN: &str = "7b22757365725f6964223a312c22746f706963223a2273657373696f6e2e3432222c2265787069726573223a343130323434343830307d.c7c43405199204b77030a9105c3ed4d5868577ad96d8da7d91a36a283e870530";

/// The secret that it is signed with.
const SECRET: &str = "captured-sample-secret-0123456789abcdef";

/// What Firefox sends to a page's own site.
const UPGRADE: &str = "GET /ws?topic=session.42 HTTP/1.1\r\n\
    Host: log.example.org\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: */*\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Origin: https://log.example.org\r\n\
    Sec-WebSocket-Extensions: permessage-deflate\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Cookie: ci_session=0123456789abcdef0123456789abcdef01234567; language=english\r\n\
    Sec-Fetch-Dest: empty\r\n\
    Sec-Fetch-Mode: websocket\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Pragma: no-cache\r\n\
    Cache-Control: no-cache\r\n\
    X-Forwarded-For: 203.0.113.7\r\n\
    Connection: upgrade\r\n\
    Upgrade: websocket\r\n\r\n";

/// What `api` does with the body of a publish.
fn publish_parse() -> Box<dyn Call> {
    let body = format!(r#"{{"topic":"{TOPIC}","payload":{PAYLOAD}}}"#);
    Box::new(move || {
        black_box(Publish::parse(black_box(body.as_bytes())).unwrap());
    })
}

/// A registry of a node that is alone, with more topics than one.
fn registry() -> Registry {
    let registry = Registry::new(RegistryConfig { topic_ttl: Duration::from_secs(86_400) });
    for n in 0..1_000 {
        registry.register(&format!("session.{n}"), TopicMeta { require_token: true }, n);
    }
    registry
}

/// What each publish and each handshake begins with.
fn registry_lookup() -> Box<dyn Call> {
    let registry = registry();
    Box::new(move || {
        let found = registry.lookup(black_box(TOPIC), black_box(2_000));
        assert_eq!(found, Lookup::Known(TopicMeta { require_token: true }));
    })
}

/// What PHP asks for at each page load: a topic that is known already.
fn registry_register() -> Box<dyn Call> {
    let registry = registry();
    Box::new(move || {
        registry.register(black_box(TOPIC), TopicMeta { require_token: true }, black_box(2_000));
    })
}

/// The one frame for all subscribers.
fn push_frame() -> Box<dyn Call> {
    Box::new(|| {
        black_box(message::push_frame(black_box(PAYLOAD)));
    })
}

/// From the bytes of a browser's request, come through a proxy, to those of the answer.
fn handshake_request() -> Box<dyn Call> {
    let trusted = ["127.0.0.0/8".parse().unwrap()];
    Box::new(move || {
        let head = request::read(
            black_box(UPGRADE.as_bytes()),
            Ipv4Addr::LOCALHOST.into(),
            black_box(&trusted),
        );
        let request::Target::WebSocket { upgrade, .. } = head.unwrap().unwrap().target else {
            unreachable!("the request is for a WebSocket");
        };
        black_box(request::switching(&upgrade.unwrap()));
    })
}

/// From the bytes of the auth frame to its token.
fn handshake_auth_frame() -> Box<dyn Call> {
    let frame = masked(&format!(r#"{{"type":"auth","token":"{TOKEN}"}}"#));
    Box::new(move || {
        let mut token = None;
        let mut decoder = Decoder::default();
        let fed = decoder.feed(&mut black_box(&frame).clone(), |incoming| {
            if let Incoming::Message(text) = incoming {
                token = message::read_auth(text).map(|auth| auth.token.into_owned());
            }
            Flow::Break(())
        });
        fed.unwrap();
        black_box(token.unwrap());
    })
}

/// A browser's text frame.
fn masked(text: &str) -> Vec<u8> {
    let mask = [0x11, 0xA2, 0x33, 0x44];
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    let mut frame = vec![0x81, 0x80 | 126];
    frame.extend(length);
    frame.extend(mask);
    frame.extend(text.bytes().zip(mask.into_iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// Judging a token.
fn token_authorize() -> Box<dyn Call> {
    let secret = Secret::new(SECRET).unwrap();
    Box::new(move || {
        let now = black_box(1_790_000_000);
        black_box(token::authorize(black_box(TOKEN), &secret, TOPIC, now).unwrap());
    })
}
