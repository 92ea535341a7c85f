//! Reads one parameter of a URL's query as Go's `net/url` does (docs/protocol.md, "Handshake").

/// The first value of the parameter `name` in `query`, decoded. A pair with `;` or with a broken
/// `%` escape does not count. The value may be any bytes.
pub fn first(query: &str, name: &str) -> Option<Vec<u8>> {
    query.split('&').filter(|pair| !pair.contains(';')).find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key)? == name.as_bytes()).then(|| decode(value)).flatten()
    })
}

/// Decodes `%41` and `+`; `None` if an escape is broken.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                base16ct::mixed::decode_vec(digits).ok()?[0]
            }
            other => other,
        });
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn topic(query: &str) -> Option<String> {
        first(query, "topic").map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    #[test]
    fn the_first_whole_pair_counts() {
        assert_eq!(topic("topic=a&topic=b").as_deref(), Some("a"));
        assert_eq!(topic("x=1&t%6Fpic=a%2Fb+c").as_deref(), Some("a/b c"));
        assert_eq!(topic("topic").as_deref(), Some(""));
        assert_eq!(topic("topic=a=b").as_deref(), Some("a=b"));
        assert_eq!(topic("topic=%zz&topic=b").as_deref(), Some("b"));
        assert_eq!(topic("topic=%4"), None);
        assert_eq!(topic("topic=a;b"), None);
        assert_eq!(topic("Topic=a"), None);
        assert_eq!(topic(""), None);
    }

    proptest! {
        #[test]
        fn any_query_is_read_without_a_panic(query in ".{0,80}") {
            let _ = topic(&query);
        }
    }
}
