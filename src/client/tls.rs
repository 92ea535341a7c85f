//! TLS towards a worker behind a proxy, or any proxy: the connection, and what its certificate is
//! worth.
//!
//! The system's authorities are believed, as the connection to Redis does it, too. A browser
//! refuses a certificate that is not good, and so do the tools; only whoever looks for faults
//! ([`examine`]) goes on with a bad one, and is told what is wrong with it. Start reading at
//! [`greet`].

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, ProtocolVersion, RootCertStore,
    SignatureScheme,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A connection, with or without TLS.
#[derive(Debug)]
pub enum Stream {
    /// As it is.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Why TLS did not come about.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// There is no authority to believe.
    #[error(
        "this machine has no list of certificate authorities; install the package ca-certificates"
    )]
    NoAuthorities,
    /// The host is no name that a certificate can have.
    #[error("the host is no name that a certificate can have; write its name")]
    Name,
    /// The certificate is not good.
    #[error("a browser refuses the certificate: {0}")]
    Certificate(Flaw),
    /// What else.
    #[error("no TLS there: {0}")]
    Other(String),
}

/// What is wrong with a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flaw {
    /// Its time is over, since then.
    Expired {
        /// The last second it was good.
        since: Timestamp,
    },
    /// Its time has not begun.
    NotYet {
        /// The first second it will be good.
        from: Timestamp,
    },
    /// It is for other names.
    OtherName {
        /// Those it is for.
        names: Vec<String>,
    },
    /// Nobody who is believed vouches for it.
    Untrusted {
        /// How many certificates the server sent.
        sent: usize,
    },
    /// What else there may be, in the words of the library.
    Other(String),
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired { since } => write!(f, "it expired on {}", day(*since)),
            Self::NotYet { from } => write!(f, "it is good only from {} on", day(*from)),
            Self::OtherName { names } if names.is_empty() => f.write_str("it has no name in it"),
            Self::OtherName { names } => write!(f, "it is for {}", names.join(", ")),
            Self::Untrusted { .. } => f.write_str("no known authority vouches for it"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

/// A certificate, and the connection that it was shown on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// Everything that is wrong with it; nothing if a browser takes it.
    pub flaws: Vec<Flaw>,
    /// The last second it is good, if that could be read.
    pub until: Option<Timestamp>,
    /// `TLSv1.2` or `TLSv1.3`.
    pub protocol: &'static str,
}

/// Speaks TLS on `stream`, to a server that has a good certificate for `host`.
///
/// # Errors
///
/// [`TlsError`]; has no deadline of its own.
pub async fn greet(stream: TcpStream, host: &str) -> Result<Stream, TlsError> {
    let (stream, examined) = examine(stream, host, Instead::Refuse).await?;
    match examined.flaws.into_iter().next() {
        Some(flaw) => Err(TlsError::Certificate(flaw)),
        None => Ok(stream),
    }
}

/// What becomes of a connection whose certificate is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instead {
    /// It ends.
    Refuse,
    /// It goes on; for whoever looks for more faults, and says nothing secret.
    GoOn,
}

/// Speaks TLS on `stream`, and says what the certificate is worth for `host`.
///
/// # Errors
///
/// As [`greet`]; that the certificate is not good is none if it is to go on.
pub async fn examine(
    stream: TcpStream,
    host: &str,
    instead: Instead,
) -> Result<(Stream, Examined), TlsError> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name)?;
    let verifier = Arc::new(Verifier::new(instead)?);
    let provider = Arc::clone(&verifier.provider);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Other(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&verifier) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()]; // As browsers do it for a WebSocket.
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let Seen { flaws, until } = verifier.seen.lock().clone();
    let stream = connecting.map_err(|error| match flaws.first() {
        Some(flaw) if instead == Instead::Refuse => TlsError::Certificate(flaw.clone()),
        _ => TlsError::Other(words(&error)),
    })?;
    let protocol = match stream.get_ref().1.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "TLSv1.2",
    };
    Ok((Stream::Tls(Box::new(stream)), Examined { flaws, until, protocol }))
}

/// What the library says of a failure, for a person.
fn words(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidMessage(_)) => "the server answers something that is not TLS".to_owned(),
        Some(Error::AlertReceived(alert)) => format!("the server refuses it ({alert:?})"),
        Some(error) => error.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the server ends the connection".to_owned()
        }
        None => error.to_string(),
    }
}

/// Judges a certificate as browsers do, and remembers the verdict.
#[derive(Debug)]
struct Verifier {
    usual: Arc<WebPkiServerVerifier>,
    provider: Arc<CryptoProvider>,
    instead: Instead,
    seen: Mutex<Seen>,
}

#[derive(Debug, Clone, Default)]
struct Seen {
    flaws: Vec<Flaw>,
    until: Option<Timestamp>,
}

impl Verifier {
    fn new(instead: Instead) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(ring::default_provider());
        let building =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let usual = building.build().map_err(|_| TlsError::NoAuthorities)?;
        Ok(Self { usual, provider, instead, seen: Mutex::default() })
    }

    /// Everything that is wrong, each found for itself: a certificate that nobody vouches for may
    /// have another name as well.
    fn flaws(&self, shown: &Shown<'_>, now: UnixTime) -> Vec<Flaw> {
        let mut flaws = Vec::new();
        if let Err(error) = self.judge(shown, now) {
            flaws.push(flaw(error, shown.intermediates.len() + 1));
        }
        let named = ParsedCertificate::try_from(shown.leaf)
            .and_then(|parsed| verify_server_name(&parsed, shown.name));
        if let Err(error) = named {
            let other = flaw(error, 1);
            if !flaws.contains(&other) {
                flaws.push(other);
            }
        }
        flaws
    }

    fn judge(&self, shown: &Shown<'_>, at: UnixTime) -> Result<(), Error> {
        let Shown { leaf, intermediates, name } = shown;
        self.usual.verify_server_cert(leaf, intermediates, name, &[], at).map(drop)
    }

    /// The last second of a certificate: what is said of it in the far future.
    fn until(&self, shown: &Shown<'_>) -> Option<Timestamp> {
        const FAR: Duration = Duration::from_secs(250_000_000_000);
        match self.judge(shown, UnixTime::since_unix_epoch(FAR)) {
            Err(Error::InvalidCertificate(CertificateError::ExpiredContext {
                not_after, ..
            })) => timestamp(not_after),
            _ => None,
        }
    }
}

/// What a server shows, and what it is asked for.
struct Shown<'a> {
    leaf: &'a CertificateDer<'a>,
    intermediates: &'a [CertificateDer<'a>],
    name: &'a ServerName<'a>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = Shown { leaf, intermediates, name };
        let flaws = self.flaws(&shown, now);
        let is_good = flaws.is_empty();
        *self.seen.lock() = Seen { flaws, until: self.until(&shown) };
        if is_good || self.instead == Instead::GoOn {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What `error` says of one of `sent` certificates.
fn flaw(error: Error, sent: usize) -> Flaw {
    let Error::InvalidCertificate(error) = error else {
        return Flaw::Other(error.to_string());
    };
    match error {
        CertificateError::ExpiredContext { not_after, .. } => match timestamp(not_after) {
            Some(since) => Flaw::Expired { since },
            None => Flaw::Other("it has expired".to_owned()),
        },
        CertificateError::NotValidYetContext { not_before, .. } => match timestamp(not_before) {
            Some(from) => Flaw::NotYet { from },
            None => Flaw::Other("its time has not begun".to_owned()),
        },
        CertificateError::NotValidForNameContext { presented, .. } => {
            Flaw::OtherName { names: presented.iter().map(|name| plain_name(name)).collect() }
        }
        // The other is what is said of one that vouches for itself.
        // Or by another authority that has the name of one that is believed.
        CertificateError::UnknownIssuer
        | CertificateError::BadSignature
        | CertificateError::Other(_) => Flaw::Untrusted { sent },
        error => Flaw::Other(Error::InvalidCertificate(error).to_string()),
    }
}

/// A name out of the library's `DnsName("example.org")`.
fn plain_name(shown: &str) -> String {
    let inner = shown.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    let letter = |letter: &char| letter.is_ascii_alphanumeric() || ".-*_:".contains(*letter);
    inner.unwrap_or(shown).chars().filter(letter).collect()
}

fn timestamp(time: UnixTime) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(time.as_secs()).ok()?).ok()
}

fn day(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_plain() {
        assert_eq!(plain_name("DnsName(\"*.example.org\")"), "*.example.org");
        assert_eq!(plain_name("IpAddress(192.0.2.7)"), "192.0.2.7");
        assert_eq!(plain_name("\u{1b}[31m"), "31m");
    }

    #[test]
    fn a_flaw_is_said_in_few_words() {
        let at = Timestamp::from_second(1_700_000_000).unwrap();

        assert_eq!(Flaw::Expired { since: at }.to_string(), "it expired on 2023-11-14 22:13 UTC");
        let names = vec!["a.example".to_owned(), "b.example".to_owned()];
        assert_eq!(Flaw::OtherName { names }.to_string(), "it is for a.example, b.example");
    }
}
