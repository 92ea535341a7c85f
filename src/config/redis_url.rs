//! Addresses of a Redis: `redis://user:password@host:6379/0`, and the other forms.
//!
//! Reads what the Go worker reads, and more. A password may stand anywhere in an address that is
//! wrong, so no refusal shows a part of one. Start reading at [`RedisUrl::parse`].

use std::path::PathBuf;

use super::{RedisAddress, RedisTarget, SentinelConfig};

/// What an address says.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    /// Where it is. Sentinels have no credentials yet.
    pub target: RedisTarget,
    /// The user, if one is named.
    pub username: Option<String>,
    /// The password, if there is one.
    pub password: Option<String>,
    /// The number of the database.
    pub database: i64,
    /// Whether TLS is spoken.
    pub tls: bool,
}

/// Why an address cannot be used: what is wrong, and what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadUrl {
    /// What is wrong with it, without a part of it.
    pub what: &'static str,
    /// What to do about it.
    pub fix: &'static str,
}

const REDIS_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// What the Go worker's library takes in an address and what has no meaning here.
const HARMLESS: [&str; 21] = [
    "protocol",
    "client_name",
    "max_retries",
    "min_retry_backoff",
    "max_retry_backoff",
    "dial_timeout",
    "read_timeout",
    "write_timeout",
    "pool_fifo",
    "pool_size",
    "pool_timeout",
    "min_idle_conns",
    "max_idle_conns",
    "max_active_conns",
    "conn_max_idle_time",
    "idle_timeout",
    "conn_max_lifetime",
    "max_conn_age",
    "idle_check_frequency",
    "unstable_resp3",
    "addr",
];

/// What follows the scheme, split but not decoded.
struct Parts<'a> {
    userinfo: Option<&'a str>,
    hosts: &'a str,
    path: &'a str,
    options: &'a str,
}

impl RedisUrl {
    /// Reads `text`; white space around it is nothing.
    ///
    /// # Errors
    ///
    /// [`BadUrl`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, BadUrl> {
        let text = text.trim();
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(bad("has no scheme", "write redis://host:6379/0, or rediss:// for TLS"));
        };
        if text.contains('#') || text.contains(char::is_whitespace) {
            return Err(UNENCODED);
        }
        let parts = split(rest)?;
        match scheme.to_ascii_lowercase().as_str() {
            "redis" => one_server(&parts, false),
            "rediss" => one_server(&parts, true),
            "unix" | "redis+unix" => unix(&parts),
            "redis+sentinel" => sentinel(&parts, false),
            "rediss+sentinel" => sentinel(&parts, true),
            "redis+cluster" => cluster(&parts, false),
            "rediss+cluster" => cluster(&parts, true),
            _ => Err(bad(
                "has a scheme that is not Redis'",
                "write redis://, rediss:// (TLS), unix://, redis+sentinel:// or redis+cluster://",
            )),
        }
    }

    /// The address for people, put together anew with `***` for the password; `None` if that is
    /// not sure to hide it.
    pub fn without_password(&self) -> Option<String> {
        let name = |user: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            user.bytes().all(plain).then(|| user.to_owned())
        };
        // A password without a user is easily written as a user without a password.
        let login = match (&self.username, &self.password) {
            (None, None) => String::new(),
            (None, Some(_)) => ":***@".to_owned(),
            (Some(_), None) => "***@".to_owned(),
            (Some(user), Some(_)) => format!("{}:***@", name(user)?),
        };
        let config = super::RedisConfig {
            target: self.target.clone(),
            username: None,
            password: None,
            database: self.database,
            tls: self.tls.then_some(super::RedisTls { ca_file: None, verify: true }),
        };
        Some(config.to_string().replacen("://", &format!("://{login}"), 1))
    }
}

/// What most often is wrong when a password stands where it was not expected.
const UNENCODED: BadUrl = bad(
    "has a character where it cannot stand",
    "percent-encode what is special in user and password: %23 for #, %2F for /, %3F for ?, %40 for @",
);

const fn bad(what: &'static str, fix: &'static str) -> BadUrl {
    BadUrl { what, fix }
}

fn split(rest: &str) -> Result<Parts<'_>, BadUrl> {
    let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    // An @ behind the hosts means that the password has an unencoded / or ? in it.
    if path.contains('@') || options.contains('@') {
        return Err(UNENCODED);
    }
    let (userinfo, hosts) = match authority.rsplit_once('@') {
        Some((userinfo, hosts)) => (Some(userinfo), hosts),
        None => (None, authority),
    };
    Ok(Parts { userinfo, hosts, path, options })
}

fn one_server(parts: &Parts<'_>, tls: bool) -> Result<RedisUrl, BadUrl> {
    if parts.hosts.contains(',') {
        return Err(bad(
            "names several hosts",
            "write redis+sentinel:// or redis+cluster:// for more than one",
        ));
    }
    let target = RedisTarget::Tcp(address(parts.hosts, REDIS_PORT)?);
    finish(parts, target, database_in(parts.path)?, tls)
}

fn unix(parts: &Parts<'_>) -> Result<RedisUrl, BadUrl> {
    if !parts.hosts.is_empty() || parts.path.len() < 2 {
        return Err(bad(
            "has no path of a socket",
            "write it with three slashes: unix:///run/redis/redis.sock?db=0",
        ));
    }
    finish(parts, RedisTarget::Unix(PathBuf::from(decode(parts.path)?)), None, false)
}

fn sentinel(parts: &Parts<'_>, tls: bool) -> Result<RedisUrl, BadUrl> {
    const FORM: &str =
        "write redis+sentinel://one:26379,two:26379/NAME/0, with the name of the master";

    let path = parts.path.trim_start_matches('/');
    let (master, database) = path.find('/').map_or((path, ""), |slash| path.split_at(slash));
    if master.is_empty() {
        return Err(bad("names no master for the sentinels", FORM));
    }
    let target = RedisTarget::Sentinel(SentinelConfig {
        sentinels: addresses(parts.hosts, SENTINEL_PORT)?,
        master: decode(master)?,
        username: None,
        password: None,
    });
    finish(parts, target, database_in(database)?, tls)
}

fn cluster(parts: &Parts<'_>, tls: bool) -> Result<RedisUrl, BadUrl> {
    let target = RedisTarget::Cluster(addresses(parts.hosts, REDIS_PORT)?);
    let url = finish(parts, target, database_in(parts.path)?, tls)?;
    if url.database != 0 {
        return Err(bad("names a database, and a Redis Cluster has only 0", "remove the number"));
    }
    Ok(url)
}

/// Adds the credentials and the options, which go over what stands before them.
fn finish(
    parts: &Parts<'_>,
    target: RedisTarget,
    database: Option<i64>,
    tls: bool,
) -> Result<RedisUrl, BadUrl> {
    let mut url =
        RedisUrl { target, username: None, password: None, database: database.unwrap_or(0), tls };
    if let Some(userinfo) = parts.userinfo {
        let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        url.username = Some(decode(user)?);
        url.password = Some(decode(password)?);
    }
    for option in parts.options.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        match name {
            "db" => url.database = number(value)?,
            "user" | "username" => url.username = Some(decode(value)?),
            "pass" | "password" => url.password = Some(decode(value)?),
            "skip_verify" => {
                return Err(bad(
                    "has the option skip_verify",
                    "remove it, and set redis_tls_verify to false if that is meant",
                ));
            }
            _ if HARMLESS.contains(&name) => {}
            _ => {
                return Err(bad(
                    "has an option that is not known",
                    "remove what stands behind the question mark, but db",
                ));
            }
        }
    }
    url.username = url.username.filter(|user| !user.is_empty());
    url.password = url.password.filter(|password| !password.is_empty());
    Ok(url)
}

fn addresses(hosts: &str, port: u16) -> Result<Vec<RedisAddress>, BadUrl> {
    if hosts.is_empty() {
        return Err(bad("names no host", "write the hosts with their ports and commas between"));
    }
    hosts.split(',').map(|host| address(host, port)).collect()
}

/// A host with or without a port. No host is this machine, as in Go.
fn address(text: &str, default_port: u16) -> Result<RedisAddress, BadUrl> {
    const HOST: BadUrl = bad("has a host that cannot be one", "write a name or an address");
    const PORT: BadUrl = bad(
        "has a port that is no number from 1 to 65535",
        "write host:6379; if that is a part of the password, percent-encode what is special in it",
    );

    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(HOST)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| HOST)?;
            match port.strip_prefix(':') {
                _ if port.is_empty() => (host, ""),
                Some(port) => (host, port),
                None => return Err(PORT),
            }
        }
        None => text.split_once(':').unwrap_or((text, "")),
    };
    if port.contains(':') {
        return Err(bad("has an IPv6 address without brackets", "write [::1]:6379"));
    }
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:%".contains(&byte);
    if !host.bytes().all(is_part) {
        return Err(HOST);
    }
    let port = match port {
        "" => default_port,
        _ => digits(port).filter(|&port| port != 0).ok_or(PORT)?,
    };
    let host = if host.is_empty() { "localhost" } else { host };
    Ok(RedisAddress { host: host.to_owned(), port })
}

/// The database that a path says; `None` if it says none.
fn database_in(path: &str) -> Result<Option<i64>, BadUrl> {
    match path.trim_matches('/') {
        "" => Ok(None),
        text => number(text).map(Some),
    }
}

fn number(text: &str) -> Result<i64, BadUrl> {
    digits::<u16>(text).map(i64::from).ok_or(bad(
        "has a database that is no number",
        "write it behind the host: redis://host:6379/0",
    ))
}

/// A number without a sign.
fn digits<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// `text` with its percent-encoded bytes decoded. A plus is a plus.
fn decode(text: &str) -> Result<String, BadUrl> {
    const PERCENT: BadUrl =
        bad("has a % without two hexadecimal digits", "write %25 for a % that is meant as such");

    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        if *byte != b'%' {
            bytes.push(*byte);
            rest = after;
            continue;
        }
        let (pair, after) = after.split_at_checked(2).ok_or(PERCENT)?;
        bytes.push(
            *base16ct::mixed::decode_vec(pair)
                .ok()
                .as_deref()
                .and_then(<[u8]>::first)
                .ok_or(PERCENT)?,
        );
        rest = after;
    }
    let text = String::from_utf8(bytes).map_err(|_| {
        bad("has percent-encoded bytes that are no UTF-8", "encode the text as UTF-8")
    })?;
    match text.contains(char::is_control) {
        false => Ok(text),
        true => Err(bad("has a control character in it", "remove it, such as %0A or %00")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tcp(host: &str, port: u16) -> RedisTarget {
        RedisTarget::Tcp(RedisAddress { host: host.to_owned(), port })
    }

    /// What is shown of a good address.
    fn shown(text: &str) -> String {
        let url = RedisUrl::parse(text).unwrap_or_else(|bad| panic!("{text}: {bad:?}"));
        url.without_password().unwrap()
    }

    fn login(text: &str) -> (Option<String>, Option<String>) {
        let url = RedisUrl::parse(text).unwrap_or_else(|bad| panic!("{text}: {bad:?}"));
        (url.username, url.password)
    }

    #[test]
    fn what_the_go_worker_reads_is_read_alike() {
        for (text, target, database) in [
            ("redis://", tcp("localhost", 6379), 0),
            ("redis://h", tcp("h", 6379), 0),
            ("REDIS://h/", tcp("h", 6379), 0),
            (" redis://h:7000/2\n", tcp("h", 7000), 2),
            ("redis://:7000", tcp("localhost", 7000), 0),
            ("redis://[::1]:7000/15", tcp("::1", 7000), 15),
            ("redis://[fe80::1]", tcp("fe80::1", 6379), 0),
            ("redis://h/3?protocol=3&pool_size=10", tcp("h", 6379), 3),
            ("redis://h/3?db=4", tcp("h", 6379), 4),
        ] {
            let url = RedisUrl::parse(text).unwrap_or_else(|bad| panic!("{text}: {bad:?}"));

            assert_eq!((url.target, url.database, url.tls), (target, database, false), "{text}");
        }
        assert!(RedisUrl::parse("rediss://h").unwrap().tls);
    }

    #[test]
    fn user_and_password_are_percent_decoded() {
        let some = |text: &str| Some(text.to_owned());
        for (text, expected) in [
            ("redis://h", (None, None)),
            ("redis://@h", (None, None)),
            ("redis://:p@h", (None, some("p"))),
            ("redis://u:p@h", (some("u"), some("p"))),
            ("redis://u@h", (some("u"), None)),
            ("redis://u:p%40%3a%2F%25+@h", (some("u"), some("p@:/%+"))),
            ("redis://u:p@p:q@h", (some("u"), some("p@p:q"))),
            ("redis://u:p%C3%A4@h", (some("u"), some("pä"))),
            ("unix:///s?user=u&pass=p%26", (some("u"), some("p&"))),
            ("unix://u:p@/s", (some("u"), some("p"))),
        ] {
            assert_eq!(login(text), expected, "{text}");
        }
    }

    #[test]
    fn sockets_sentinels_and_clusters_have_forms_of_their_own() {
        for (text, expected) in [
            ("unix:///run/redis.sock", "unix:///run/redis.sock?db=0"),
            ("redis+unix:///run/redis.sock?db=3", "unix:///run/redis.sock?db=3"),
            ("redis+sentinel://a,b:1/m", "redis+sentinel://a:26379,b:1/m/0"),
            ("rediss+sentinel://u:p@a/m/2", "rediss+sentinel://u:***@a:26379/m/2"),
            ("redis+cluster://a,[::1]:7001", "redis+cluster://a:6379,[::1]:7001"),
            ("rediss+cluster://:p@a/0", "rediss+cluster://:***@a:6379"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn a_bad_address_is_refused_without_any_part_of_it() {
        for text in [
            "localhost:6379",
            "hunter2",
            "http://hunter2@host",
            "hunter2://host",
            "redis://u:hunter2#x@host",
            "redis://u:hunter2/x@host:6379/0",
            "redis://u:hunter2?x@host:6379/0",
            "redis://:hunter2",
            "redis://u:hunter2%@host",
            "redis://u:hunter2%zz@host",
            "redis://u:hunter2%ff@host",
            "redis://u:hunter2%0a@host",
            "redis://u:hunter2@host:0",
            "redis://u:hunter2@host:65536",
            "redis://u:hunter2@host:+1",
            "redis://u:hunter2@::1",
            "redis://u:hunter2@[::1",
            "redis://u:hunter2@[::1]6379",
            "redis://u:hunter2@[host]",
            "redis://u:hunter2@host/x",
            "redis://u:hunter2@host/-1",
            "redis://u:hunter2@host/0/1",
            "redis://u:hunter2@a,b",
            "redis://u:hunter2@host?hunter2=1",
            "rediss://u:hunter2@host?skip_verify=true",
            "redis://u:hun ter2@host",
            "unix://hunter2",
            "unix://",
            "redis+sentinel://u:hunter2@a",
            "redis+sentinel:///m",
            "redis+cluster://u:hunter2@a/1",
            "redis+cluster://",
        ] {
            let Err(refused) = RedisUrl::parse(text) else {
                panic!("{text}");
            };

            assert!(!format!("{refused:?}").contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn what_may_be_a_password_in_the_wrong_place_is_not_shown() {
        assert_eq!(shown("redis://hunter2@h"), "redis://***@h:6379/0");
        assert_eq!(shown("redis://hunter2:@h"), "redis://***@h:6379/0");
        assert_eq!(RedisUrl::parse("redis://a%3Ahunter2:x@h").unwrap().without_password(), None);
    }

    proptest! {
        #[test]
        fn no_address_panics_and_no_password_is_shown(password in "[!-~]{0,20}", rest in "\\PC*") {
            let _ = RedisUrl::parse(&rest);
            let encoded: String = password.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let marked = format!("SECRET{encoded}");

            let url = RedisUrl::parse(&format!("redis://user:{marked}@host")).unwrap();

            prop_assert_eq!(url.password.clone(), Some(format!("SECRET{password}")));
            prop_assert_eq!(url.without_password().unwrap(), "redis://user:***@host:6379/0");
            if let Ok(url) = RedisUrl::parse(&format!("redis://user:SECRET{password}@host")) {
                prop_assert!(!url.without_password().is_some_and(|shown| shown.contains("SECRET")));
            }
        }
    }
}
