//! What is configured, as the live view shows it: made once, at the start.
//!
//! Values are those of `check`, in which secrets are masked already.

use bytes::Bytes;
use serde::Serialize;

use crate::config::{Problem, Setting};

/// The document.
#[derive(Debug, Clone)]
pub struct InForce(Bytes);

#[derive(Serialize)]
struct Document<'a> {
    settings: Vec<Shown<'a>>,
    risks: Vec<String>,
}

#[derive(Serialize)]
struct Shown<'a> {
    key: &'static str,
    value: &'a str,
    origin: String,
    secret: bool,
}

impl<'a> From<&'a Setting> for Shown<'a> {
    fn from(setting: &'a Setting) -> Self {
        Self {
            key: setting.key.name,
            value: &setting.shown,
            origin: setting.origin.to_string(),
            secret: setting.key.kind.is_secret(),
        }
    }
}

impl InForce {
    /// What is in force for every key, and what is odd or risky about it.
    pub fn new(settings: &[Setting], warnings: &[Problem], risks: &[String]) -> Self {
        let warnings = warnings.iter().map(Problem::to_string);
        let document = Document {
            settings: settings.iter().map(Shown::from).collect(),
            risks: warnings.chain(risks.iter().cloned()).collect(),
        };
        // Plain values: nothing here can fail to serialize.
        Self(serde_json::to_vec(&document).unwrap_or_default().into())
    }

    /// The document as JSON.
    pub(super) fn json(&self) -> Bytes {
        self.0.clone()
    }
}
