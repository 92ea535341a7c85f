//! Counters that belong together: of one thing, by how it ended.
//!
//! The names of the labels' values are here, and nowhere else.

use super::counter::Counter;

/// A struct of counters, and the value of the label that each has.
macro_rules! counters {
    ($(#[$about:meta])* $name:ident { $($(#[$meaning:meta])* $counter:ident,)* }) => {
        $(#[$about])*
        #[derive(Debug, Default)]
        pub struct $name {
            $($(#[$meaning])* pub $counter: Counter,)*
        }

        impl $name {
            /// Every counter: the value of its label, and its number now.
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($counter), self.$counter.get()),)*]
            }
        }
    };
}

counters! {
    /// What became of requests for a WebSocket.
    Handshakes {
        /// Granted. The browser has to log in next.
        upgraded,
        /// The topic is not registered.
        unknown_topic,
        /// Not HTTP, too long, without a topic, or no proper upgrade.
        bad_request,
        /// Only Redis knows whether the topic is registered, and it did not answer in time.
        redis_away,
        /// Turned away because nearly all files are open.
        refused_full,
        /// The request did not come in time.
        timeout,
    }
}

counters! {
    /// What became of browsers whose request for a WebSocket was granted.
    Logins {
        /// Let in.
        authenticated,
        /// Refused: [`AuthFailures`] has the reason.
        refused,
        /// No auth frame in time.
        timeout,
        /// What came first is against the rules of WebSocket.
        protocol_error,
        /// The browser left before.
        left,
        /// The node ended before.
        going_away,
    }
}

counters! {
    /// Why logins were refused.
    AuthFailures {
        /// What came first is no auth frame.
        no_auth_frame,
        /// The auth frame has no token, and the topic needs one.
        no_token,
        /// The token is not one: cut short, or something else.
        malformed,
        /// It is signed with another secret.
        bad_signature,
        /// Its time is over.
        expired,
        /// It names neither a topic nor a session.
        no_grant,
        /// It is good, but for another topic.
        other_topic,
        /// The topic was unregistered, or its time ran out, since the handshake.
        topic_gone,
    }
}

counters! {
    /// Why publishes were refused. Those that were accepted, and those that found the topic's
    /// outbox full, are counters of the status document.
    RefusedPublishes {
        /// The topic is not registered.
        unknown_topic,
        /// The call cannot be read: its method, its length, its JSON, or what is missing in it.
        bad_request,
        /// It came without the right secret.
        forbidden,
        /// Its body did not come in time.
        timeout,
    }
}
