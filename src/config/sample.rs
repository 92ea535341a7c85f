//! The sample configuration that is part of the program, and a copy of it with a secret.

/// `config.sample.yaml`, as it is in the repository: every key with its default.
const SAMPLE: &str = include_str!("../../config.sample.yaml");

/// The line of the sample that waits for a secret.
const NO_SECRET: &str = "\nworker_secret: \"\"\n";

/// Returns the sample with `secret` in it. The secret is put in quotes as it is, so it may hold
/// no quote and no backslash.
pub fn with_secret(secret: &str) -> String {
    SAMPLE.replacen(NO_SECRET, &format!("\nworker_secret: \"{secret}\"\n"), 1)
}

#[cfg(test)]
mod tests {
    use super::super::keys;
    use super::super::load::examine_text;
    use super::*;

    #[test]
    fn the_sample_lacks_nothing_but_a_secret() {
        let report = examine_text(SAMPLE);

        assert_eq!(report.problems.len(), 1, "{:?}", report.problems);
        assert_eq!(report.problems[0].key.as_deref(), Some("worker_secret"));
    }

    #[test]
    fn the_sample_names_every_key_with_its_default() {
        let secret = "0123456789abcdef0123456789abcdef";
        let sample = examine_text(&with_secret(secret));
        let defaults = examine_text(&format!("worker_secret: \"{secret}\""));

        assert_eq!(sample.problems, []);
        assert_eq!(
            format!("{:?}", sample.config.unwrap()),
            format!("{:?}", defaults.config.unwrap())
        );
        for key in keys::ALL {
            let line = format!("\n{}:", key.name);
            assert_eq!(SAMPLE.matches(&line).count(), 1, "{}", key.name);
        }
    }

    #[test]
    fn a_secret_is_put_into_the_sample_once() {
        let text = with_secret("0123456789abcdef0123456789abcdef");

        assert_eq!(text.matches("\"0123456789abcdef0123456789abcdef\"").count(), 1);
        assert_eq!(text.lines().count(), SAMPLE.lines().count());
    }
}
