//! What was set, and by whom; whatever was not set has its default.
//!
//! Knows which keys there are, not what they mean. Start reading at [`Given::value`].

use std::collections::HashMap;

use super::keys::{self, Key, Kind};
use super::problem::Origin;
use super::raw::{Scalar, Value};
use super::redis_url::RedisUrl;

/// The values that file and environment set.
#[derive(Default)]
pub struct Given(HashMap<&'static str, (Value, Origin)>);

/// What is in force for one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The key.
    pub key: &'static Key,
    /// The value as it was written, on one line, or what stands for it if it is secret.
    pub shown: String,
    /// Who set it.
    pub origin: Origin,
}

impl Given {
    /// Sets `key`, in place of what was set before.
    pub fn set(&mut self, key: &'static Key, value: Value, origin: Origin) {
        self.0.insert(key.name, (value, origin));
    }

    /// What is in force for `key`.
    pub fn value(&self, key: &Key) -> Value {
        let given = self.0.get(key.name);
        given.map_or_else(|| Value::plain(key.default), |(value, _)| value.clone())
    }

    /// Who set `key`.
    pub fn origin(&self, key: &Key) -> Origin {
        self.0.get(key.name).map_or(Origin::Default, |(_, origin)| origin.clone())
    }

    /// Whether `key` was set, and to something else than its default.
    pub fn is_changed(&self, key: &Key) -> bool {
        match self.0.get(key.name) {
            None => false,
            Some((Value::Scalar(scalar), _)) => scalar.text.trim() != key.default,
            Some(_) => true,
        }
    }

    /// What is in force for every key, in the order of [`keys::ALL`].
    pub fn settings(&self) -> Vec<Setting> {
        let setting = |key: &'static Key| Setting {
            key,
            shown: shown(key, &self.value(key)),
            origin: self.origin(key),
        };
        keys::ALL.into_iter().map(setting).collect()
    }
}

fn shown(key: &Key, value: &Value) -> String {
    let one_line = |scalar: &Scalar| scalar.text.escape_debug().to_string();
    match value {
        Value::Scalar(Scalar { text, .. }) if text.is_empty() => match key.kind {
            Kind::Address => "every address".to_owned(),
            _ => "(not set)".to_owned(),
        },
        Value::Scalar(Scalar { text, .. })
            if key.kind == Kind::RedisUrl
                && let Some(shown) =
                    RedisUrl::parse(text).ok().and_then(|url| url.without_password()) =>
        {
            shown.escape_debug().to_string()
        }
        Value::Scalar(Scalar { text, .. }) if key.kind.is_secret() => {
            format!("(set, {} bytes)", text.len())
        }
        _ if key.kind.is_secret() => "(set)".to_owned(),
        Value::Scalar(scalar) => one_line(scalar),
        Value::List(items) if items.is_empty() => "none".to_owned(),
        Value::List(items) => items.iter().map(one_line).collect::<Vec<_>>().join(", "),
        Value::Null => "(not set)".to_owned(),
        Value::Nested => "(nested values)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_set_has_its_default() {
        let mut given = Given::default();
        given.set(&keys::WS_PORT, Value::plain("8000"), Origin::Environment("WORKER_WS_PORT"));

        let settings = given.settings();

        let port = settings.iter().find(|setting| setting.key == &keys::WS_PORT).unwrap();
        let ttl = settings.iter().find(|setting| setting.key == &keys::TOPIC_TTL).unwrap();
        assert_eq!(settings.len(), keys::ALL.len());
        assert_eq!(
            (port.shown.as_str(), &port.origin),
            ("8000", &Origin::Environment("WORKER_WS_PORT"))
        );
        assert_eq!((ttl.shown.as_str(), &ttl.origin), ("24h", &Origin::Default));
    }

    #[test]
    fn nothing_of_a_secret_is_shown_whatever_it_is_set_to() {
        let hidden = Scalar { text: "hunter2".to_owned(), quoted: true };
        for value in [Value::Scalar(hidden.clone()), Value::List(vec![hidden]), Value::Nested] {
            for key in [&keys::WORKER_SECRET, &keys::REDIS_URL, &keys::REDIS_SENTINEL_PASSWORD] {
                assert!(!shown(key, &value).contains("hunter2"));
            }
        }
        assert_eq!(shown(&keys::WORKER_SECRET, &Value::plain("hunter2")), "(set, 7 bytes)");
    }

    #[test]
    fn of_the_address_of_redis_only_the_password_is_hidden() {
        let shown = |text| shown(&keys::REDIS_URL, &Value::plain(text));

        assert_eq!(shown("redis://u:hunter2@h/1"), "redis://u:***@h:6379/1");
        assert_eq!(shown("redis://u:hun#ter2@h"), "(set, 20 bytes)");
    }
}
