//! An authority of the test's own, and certificates from it: good, ended, for other names.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::program;

/// An authority that nobody knows but who is told.
pub struct Authority {
    directory: TempDir,
}

/// A time, as openssl writes it.
pub const LONG_AGO: &str = "20200101000000Z";

impl Authority {
    /// A fresh one.
    pub fn new() -> Self {
        let authority = Self { directory: TempDir::new().unwrap() };
        authority.openssl(&[
            "req",
            "-x509",
            "-nodes",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-subj",
            "/CN=authority",
            "-days",
            "100",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
        ]);
        fs::write(authority.path("index"), "").unwrap();
        fs::write(
            authority.path("ca.conf"),
            "[ca]\ndefault_ca=d\n[d]\ndatabase=index\nnew_certs_dir=.\nrand_serial=yes\n\
             default_md=sha256\npolicy=p\nunique_subject=no\ncopy_extensions=copy\n\
             [p]\ncommonName=supplied\n",
        )
        .unwrap();
        authority
    }

    /// Its own certificate, for whoever is to believe it.
    pub fn file(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// Certificate and key for `name`, in one text, good from `from` to `until`.
    pub fn certificate(&self, name: &str, from: &str, until: &str) -> String {
        self.request(name, &["-out", "request.pem"]);
        self.openssl(&[
            "ca",
            "-batch",
            "-notext",
            "-config",
            "ca.conf",
            "-cert",
            "ca.pem",
            "-keyfile",
            "ca.key",
            "-in",
            "request.pem",
            "-out",
            "certificate.pem",
            "-startdate",
            from,
            "-enddate",
            until,
        ]);
        self.certificate_and_key()
    }

    /// A certificate for `name` that vouches for itself, and its key.
    pub fn self_signed(&self, name: &str) -> String {
        self.request(name, &["-x509", "-days", "30", "-out", "certificate.pem"]);
        self.certificate_and_key()
    }

    /// Makes a key, and asks for a certificate for `name` by it; `more` says what comes of that.
    fn request(&self, name: &str, more: &[&str]) {
        let (subject, names) = (format!("/CN={name}"), format!("subjectAltName=DNS:{name}"));
        let key = ["req", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
        let whose = ["-subj", &subject, "-addext", &names, "-keyout", "key.pem"];
        self.openssl(&[&key[..], &whose[..], more].concat());
    }

    fn certificate_and_key(&self) -> String {
        ["certificate.pem", "key.pem"]
            .map(|name| fs::read_to_string(self.path(name)).unwrap())
            .concat()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn openssl(&self, arguments: &[&str]) {
        let directory: &Path = self.directory.path();
        let output = program("openssl").args(arguments).current_dir(directory).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
}
