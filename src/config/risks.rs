//! What is allowed but risky: said at every start, each with what to do.
//!
//! A risk is one sentence or two for a person who runs the worker. Start reading at
//! [`Config::risks`].

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::Path;

use super::{Config, RedisConfig, RedisTarget};

impl Config {
    /// Returns what is risky about the configuration itself, most serious first.
    pub fn risks(&self) -> Vec<String> {
        let redis = self.cluster.as_ref().map(|cluster| &cluster.redis);
        [
            weak_secret(self.secret.expose()),
            self.open_internal_port(),
            self.trusts_everybody(),
            redis.and_then(unchecked_redis),
            redis.and_then(readable_password),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn open_internal_port(&self) -> Option<String> {
        let bind = self.listen.internal_bind;
        if bind.is_some_and(|ip| ip.to_canonical().is_loopback()) {
            return None;
        }
        let bind = bind.map_or_else(|| "every address".to_owned(), |ip| ip.to_string());
        Some(format!(
            "internal_bind is {bind}, not loopback: anyone who can reach port {} needs only the \
             secret to publish; let a firewall or a private network keep all but PHP out",
            self.listen.internal_port
        ))
    }

    fn trusts_everybody(&self) -> Option<String> {
        let everybody = self.http.trusted_proxies.iter().find(|net| net.prefix_len() == 0)?;
        Some(format!(
            "trusted_proxies has {everybody}: every browser can claim any address in \
             X-Forwarded-For; name your proxies alone"
        ))
    }
}

/// What is risky about the permissions `mode` of the file with the secret. A group may read it,
/// as it must where the file belongs to root and the worker runs as a user of its own.
pub(super) fn of_file(path: &Path, mode: u32) -> Option<String> {
    const OTHERS_OR_GROUP_WRITE: u32 = 0o027;
    (mode & OTHERS_OR_GROUP_WRITE != 0).then(|| {
        format!(
            "{} holds the secret and its mode is {:04o}: other users of this machine can read or \
             change it; run `chmod 600` on it, or `chmod 640` for a group",
            path.display(),
            mode & 0o7777
        )
    })
}

fn unchecked_redis(redis: &RedisConfig) -> Option<String> {
    redis.tls.as_ref().filter(|tls| !tls.verify)?;
    Some(
        "redis_tls_verify is false: whoever stands between can pass for Redis and read the \
         password and all messages; name the authority in redis_ca_file instead"
            .to_owned(),
    )
}

fn readable_password(redis: &RedisConfig) -> Option<String> {
    let (hosts, sentinel_password) = match &redis.target {
        RedisTarget::Unix(_) => return None,
        RedisTarget::Tcp(host) => (std::slice::from_ref(host), None),
        RedisTarget::Cluster(hosts) => (hosts.as_slice(), None),
        RedisTarget::Sentinel(sentinels) => {
            (sentinels.sentinels.as_slice(), sentinels.password.as_ref())
        }
    };
    if redis.tls.is_some() || redis.password.as_ref().or(sentinel_password).is_none() {
        return None;
    }
    let far = hosts.iter().find(|host| !is_near(&host.host))?;
    Some(format!(
        "redis_url has no TLS, and {far} may be outside of your network: the password and all \
         messages can be read on the way; use rediss://"
    ))
}

/// Whether `host` is on this machine or in a private network, as far as its name tells: one without
/// a dot is that of a container or of a machine next door.
fn is_near(host: &str) -> bool {
    const NEAR: [&str; 6] = [".local", ".localhost", ".internal", ".lan", ".home.arpa", ".svc"];
    match host.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        Ok(IpAddr::V6(ip)) => {
            ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()
        }
        Err(_) => {
            let host = host.trim_end_matches('.').to_ascii_lowercase();
            !host.contains('.') || NEAR.iter().any(|end| host.ends_with(end))
        }
    }
}

fn weak_secret(secret: &str) -> Option<String> {
    const FEWEST_DISTINCT: usize = 10;
    const PLACEHOLDERS: [&str; 6] =
        ["change", "secret", "password", "example", "placeholder", "0123456789"];

    let lower = secret.to_lowercase();
    let distinct = secret.bytes().collect::<HashSet<_>>().len();
    let why = if secret.trim() != secret {
        "begins or ends with white space, which HTTP drops, so that every call of PHP is refused"
    } else if distinct < FEWEST_DISTINCT {
        "has very few different characters and can be guessed"
    } else if PLACEHOLDERS.iter().any(|word| lower.contains(word)) {
        "looks like a placeholder and can be guessed"
    } else {
        return None;
    };
    Some(format!(
        "worker_secret {why}; make one with `openssl rand -hex 32` and give it to PHP, too"
    ))
}

#[cfg(test)]
mod tests {
    use super::super::load::examine_text;
    use super::*;

    const GOOD: &str = "f3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn risks(lines: &str) -> Vec<String> {
        let report = examine_text(&format!("worker_secret: '{GOOD}'\n{lines}"));
        report.config.unwrap_or_else(|| panic!("{:?}", report.problems)).risks()
    }

    #[test]
    fn the_defaults_with_a_random_secret_are_not_risky() {
        assert_eq!(risks(""), [""; 0]);
        assert_eq!(risks("internal_bind: ::1"), [""; 0]);
        assert_eq!(risks("internal_bind: localhost"), [""; 0]);
    }

    #[test]
    fn an_internal_port_for_others_is_risky() {
        for (bind, shown) in
            [("0.0.0.0", "0.0.0.0"), ("192.168.1.7", "192.168.1.7"), ("''", "every address")]
        {
            let risks = risks(&format!("internal_bind: {bind}"));

            assert_eq!(risks.len(), 1);
            assert!(risks[0].starts_with(&format!("internal_bind is {shown}, not loopback")));
        }
    }

    #[test]
    fn to_trust_every_proxy_is_risky() {
        assert!(
            risks("trusted_proxies: [10.0.0.0/8, ::/0]")[0].starts_with("trusted_proxies has ::/0")
        );
    }

    #[test]
    fn a_secret_that_can_be_guessed_is_risky_and_not_shown() {
        for secret in [
            "a".repeat(64),
            "abcabcabcabcabcabcabcabcabcabcabcabc".to_owned(),
            "please-change-me-to-something-of-32".to_owned(),
            "0123456789abcdef0123456789abcdef".to_owned(),
            format!("{GOOD}\n"),
        ] {
            let risk = weak_secret(&secret).unwrap();

            assert!(!risk.contains(&secret));
        }
        assert_eq!(weak_secret(GOOD), None);
        assert!(weak_secret("12345678901234567890123456789012").is_some());
    }

    #[test]
    fn a_redis_whose_certificate_is_not_checked_is_risky() {
        assert_eq!(risks("redis_url: rediss://:hunter2@redis.example.org"), [""; 0]);

        let risks = risks("redis_url: rediss://h\nredis_tls_verify: false");

        assert_eq!(risks.len(), 1);
        assert!(risks[0].starts_with("redis_tls_verify is false"));
    }

    #[test]
    fn a_password_that_leaves_the_network_unencrypted_is_risky() {
        for near in ["127.0.0.1", "[::1]", "10.1.2.3", "[fd00::1]", "redis", "redis.prod.svc"] {
            assert_eq!(risks(&format!("redis_url: 'redis://:hunter2@{near}'")), [""; 0], "{near}");
        }
        assert_eq!(risks("redis_url: redis://redis.example.org"), [""; 0], "no password");
        assert_eq!(risks("redis_url: unix://:hunter2@/run/redis.sock"), [""; 0]);

        for url in [
            "redis://:hunter2@redis.example.org",
            "redis://:hunter2@192.0.2.7",
            "redis+cluster://:hunter2@10.0.0.1,192.0.2.7",
        ] {
            let risks = risks(&format!("redis_url: {url}"));

            assert_eq!(risks.len(), 1, "{url}");
            assert!(risks[0].starts_with("redis_url has no TLS"));
            assert!(!risks[0].contains("hunter2"));
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_risky() {
        assert_eq!(of_file(Path::new("c.yaml"), 0o100_600), None);
        assert_eq!(of_file(Path::new("c.yaml"), 0o100_640), None);
        assert!(of_file(Path::new("c.yaml"), 0o100_644).unwrap().contains("mode is 0644"));
        assert!(of_file(Path::new("c.yaml"), 0o100_660).is_some());
    }
}
