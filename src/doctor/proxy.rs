//! Which proxy stands in front of the worker, and the lines of its configuration for each fault.
//!
//! A proxy is recognised by its `Server` and `Via` headers and by its error pages. Pure. Start
//! reading at [`Proxy::recognise`] and [`Place::lines`].

use hyper::HeaderMap;
use serde::Serialize;

/// A proxy whose configuration we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Proxy {
    /// nginx, and what is made of it.
    Nginx,
    /// Apache httpd.
    Apache,
    /// HAProxy.
    Haproxy,
    /// Caddy.
    Caddy,
    /// Traefik.
    Traefik,
    /// Cloudflare, with something else behind it.
    Cloudflare,
    /// Microsoft IIS.
    Iis,
}

impl Proxy {
    /// Who wrote these headers and this body; `None` if they do not tell.
    pub fn recognise(headers: &HeaderMap, body: &str) -> Option<Self> {
        let value = |name: &str| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_ascii_lowercase()
        };
        let (server, via) = (value("server"), value("via"));
        let by_header = [
            (Self::Cloudflare, ["cloudflare"].as_slice()),
            (Self::Nginx, &["nginx", "openresty", "tengine", "angie"]),
            (Self::Apache, &["apache"]),
            (Self::Caddy, &["caddy"]),
            (Self::Haproxy, &["haproxy"]),
            (Self::Traefik, &["traefik"]),
            (Self::Iis, &["microsoft-iis", "microsoft-httpapi"]),
        ];
        let named =
            |words: &[&str]| words.iter().any(|word| server.contains(word) || via.contains(word));
        if let Some((proxy, _)) = by_header.iter().find(|(_, words)| named(words)) {
            return Some(*proxy);
        }
        let by_page = [
            (Self::Nginx, "<center>nginx"),
            (Self::Apache, "<address>Apache"),
            (Self::Haproxy, "<html><body><h1>"),
        ];
        by_page.iter().find(|(_, words)| body.contains(words)).map(|(proxy, _)| *proxy)
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Apache => "Apache",
            Self::Haproxy => "HAProxy",
            Self::Caddy => "Caddy",
            Self::Traefik => "Traefik",
            Self::Cloudflare => "Cloudflare",
            Self::Iis => "IIS",
        }
    }
}

/// What a proxy does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// It does not pass `Upgrade` and `Connection` on.
    Upgrade,
    /// It does not pass the query on.
    Query,
    /// It passes another path on.
    Path,
    /// It does not pass the request on at all.
    NotPassed,
    /// It passes it to the internal port.
    InternalPort,
    /// It finds no worker behind it.
    NoWorker,
    /// It cuts sockets on which nothing passes.
    IdleCut,
    /// It keeps pushes back.
    Buffering,
    /// It lets strangers reach the internal API.
    Exposed,
    /// It does not pass the script on.
    Script,
    /// It refuses the page's origin.
    Origin,
}

/// Where the lines are to stand, and what is to stand in them.
#[derive(Debug, Clone)]
pub struct Place {
    /// The proxy, if it is known.
    pub proxy: Option<Proxy>,
    /// The path that browsers ask for, such as `/ws`.
    pub path: String,
    /// Where the proxy finds the worker's WebSocket port, such as `127.0.0.1:9000`.
    pub upstream: String,
    /// Seconds of silence that are enough.
    pub idle_secs: u64,
}

impl Place {
    /// What to change for `wrong`: a sentence that says where, then lines as they are to be.
    pub fn lines(&self, wrong: Wrong) -> Vec<String> {
        let lines = match self.proxy {
            Some(Proxy::Nginx) => self.nginx(wrong),
            Some(Proxy::Apache) => self.apache(wrong),
            Some(Proxy::Haproxy) => self.haproxy(wrong),
            Some(Proxy::Caddy) => self.caddy(wrong),
            Some(Proxy::Cloudflare) => self.cloudflare(wrong),
            Some(Proxy::Traefik | Proxy::Iis) | None => None,
        };
        lines.unwrap_or_else(|| self.any(wrong))
    }

    /// Where the script is beside the socket.
    fn script(&self) -> String {
        script_path(&self.path)
    }

    fn nginx(&self, wrong: Wrong) -> Option<Vec<String>> {
        let Self { path, upstream, idle_secs, .. } = self;
        let passing = format!("    proxy_pass http://{upstream};");
        Some(match wrong {
            Wrong::Upgrade => own([
                &format!("nginx, in the location of {path}, then nginx -s reload:"),
                "    proxy_http_version 1.1;",
                "    proxy_set_header Upgrade $http_upgrade;",
                "    proxy_set_header Connection \"upgrade\";",
            ]),
            Wrong::Query => own([
                &format!(
                    "nginx, in the location of {path}: no path and no variable behind the port, and no rewrite with a ? at its end:"
                ),
                &passing,
            ]),
            Wrong::Path if path == "/ws" => own([
                &format!(
                    "nginx, in the location of {path}: no path and no / behind the port, and no rewrite:"
                ),
                &passing,
            ]),
            Wrong::Path => own([
                &format!("nginx, in the location of {path}: the worker's own path is /ws:"),
                &format!("location = {path} {{"),
                &format!("    proxy_pass http://{upstream}/ws;"),
            ]),
            Wrong::InternalPort => own([
                &format!(
                    "nginx, in the location of {path}: the port is ws_port, not internal_port:"
                ),
                &passing,
            ]),
            Wrong::NotPassed => own([
                "nginx, in the server of this name and port, in front of what serves the site:",
                &format!("location = {path} {{"),
                &format!(
                    "    proxy_pass http://{upstream}{};",
                    if path == "/ws" { "" } else { "/ws" }
                ),
                "    proxy_http_version 1.1;",
                "    proxy_set_header Host $host;",
                "    proxy_set_header Upgrade $http_upgrade;",
                "    proxy_set_header Connection \"upgrade\";",
                "    proxy_set_header X-Forwarded-For $remote_addr;",
                &format!("    proxy_read_timeout {idle_secs}s;"),
                "}",
            ]),
            Wrong::NoWorker => own([
                "start the worker; if it runs, nginx looks for it in the wrong place (its error log says where):",
                &passing,
                "in a container 127.0.0.1 is the container itself: write the worker's name there",
                "with SELinux: setsebool -P httpd_can_network_connect 1",
            ]),
            Wrong::IdleCut => own([
                &format!(
                    "nginx, in the location of {path}: longer than idle_timeout of the worker:"
                ),
                &format!("    proxy_read_timeout {idle_secs}s;"),
                &format!("    proxy_send_timeout {idle_secs}s;"),
            ]),
            Wrong::Buffering => {
                own([&format!("nginx, in the location of {path}:"), "    proxy_buffering off;"])
            }
            Wrong::Exposed => own([
                "nginx: pass only /ws and /client.js on, and remove the location that leads to internal_port; or in front of it:",
                "location /internal/ { return 404; }",
            ]),
            Wrong::Script => own([
                "nginx, beside the location of the socket:",
                &format!("location = {} {{", self.script()),
                &format!(
                    "    proxy_pass http://{upstream}{};",
                    if path == "/ws" { "" } else { "/client.js" }
                ),
                "}",
            ]),
            Wrong::Origin => return None,
        })
    }

    fn apache(&self, wrong: Wrong) -> Option<Vec<String>> {
        let Self { path, upstream, idle_secs, .. } = self;
        let passing = format!(
            "ProxyPass \"{path}\" \"http://{upstream}/ws\" upgrade=websocket timeout={idle_secs}"
        );
        let virtual_host = "Apache, in the VirtualHost of this name and port, in front of other ProxyPass and RewriteRule lines, then apachectl graceful:";
        Some(match wrong {
            Wrong::Upgrade => own([
                "Apache 2.4.47 or newer passes a WebSocket on only where it is told to (a2enmod proxy proxy_http); in the VirtualHost:",
                &passing,
                "older ones, with a2enmod proxy_wstunnel:",
                &format!("ProxyPass \"{path}\" \"ws://{upstream}/ws\""),
            ]),
            Wrong::NotPassed => own([
                virtual_host,
                &passing,
                "and the modules: a2enmod proxy proxy_http, then restart Apache",
            ]),
            Wrong::Query | Wrong::Path => own([
                "Apache: the worker's own path is /ws, and a RewriteRule must keep the query (no ? at its end):",
                &passing,
            ]),
            Wrong::InternalPort => {
                own(["Apache: the port is ws_port, not internal_port:", &passing])
            }
            Wrong::NoWorker => own([
                "start the worker; if it runs, Apache looks for it in the wrong place (its error log says where):",
                &passing,
                "with SELinux: setsebool -P httpd_can_network_connect 1",
            ]),
            Wrong::IdleCut => own([
                "Apache: longer than idle_timeout of the worker:",
                &passing,
                &format!(
                    "or for all: ProxyTimeout {idle_secs} (with ws:// and mod_proxy_wstunnel: ProxyWebsocketIdleTimeout {idle_secs})"
                ),
            ]),
            Wrong::Buffering => {
                own(["Apache: remove filters such as DEFLATE from this path:", &passing])
            }
            Wrong::Exposed => own([
                "Apache: remove the ProxyPass that leads to internal_port; or in front of it:",
                "ProxyPass \"/internal\" \"!\"",
            ]),
            Wrong::Script => own([
                virtual_host,
                &format!("ProxyPass \"{}\" \"http://{upstream}/client.js\"", self.script()),
            ]),
            Wrong::Origin => return None,
        })
    }

    fn haproxy(&self, wrong: Wrong) -> Option<Vec<String>> {
        let Self { path, upstream, idle_secs, .. } = self;
        let server = format!("    server worker {upstream}");
        Some(match wrong {
            Wrong::Upgrade => own([
                "HAProxy passes Upgrade on by itself in `mode http`; remove from frontend and backend what deletes it:",
                "    http-request del-header Upgrade",
                "    http-request del-header Connection",
            ]),
            Wrong::Query => own([
                "HAProxy: rewrite the path alone, for set-uri drops the query:",
                "    http-request set-path /ws",
            ]),
            Wrong::Path => own([
                "HAProxy, in the backend of the worker, whose own path is /ws; remove other set-path and replace-path lines:",
                "    http-request set-path /ws",
            ]),
            Wrong::InternalPort => own([
                "HAProxy, in the backend of the worker: the port is ws_port, not internal_port:",
                &server,
            ]),
            Wrong::NotPassed => own([
                "HAProxy, in the frontend, in front of other use_backend lines:",
                &format!("    use_backend worker if {{ path {path} {} }}", self.script()),
                "and a backend:",
                "backend worker",
                &server,
                &format!("    timeout tunnel {idle_secs}s"),
            ]),
            Wrong::NoWorker => own([
                "start the worker; if it runs, HAProxy looks for it in the wrong place, or its check fails (its log says which):",
                &server,
            ]),
            Wrong::IdleCut => own([
                "HAProxy, in defaults or the backend: longer than idle_timeout of the worker:",
                &format!("    timeout tunnel {idle_secs}s"),
                &format!("    timeout client {idle_secs}s"),
                &format!("    timeout server {idle_secs}s"),
            ]),
            Wrong::Buffering => own([
                "HAProxy: remove this, and compression of this path:",
                "    option http-buffer-request",
            ]),
            Wrong::Exposed => own([
                "HAProxy, in the frontend for browsers: let nothing but the worker's two paths pass:",
                &format!(
                    "    http-request deny deny_status 404 unless {{ path {path} {} }}",
                    self.script()
                ),
            ]),
            Wrong::Script => own([
                "HAProxy, in the frontend:",
                &format!("    use_backend worker if {{ path {path} {} }}", self.script()),
            ]),
            Wrong::Origin => return None,
        })
    }

    fn caddy(&self, wrong: Wrong) -> Option<Vec<String>> {
        let Self { path, upstream, .. } = self;
        let passing = format!("reverse_proxy {path} {upstream}");
        Some(match wrong {
            Wrong::Upgrade => own([
                "Caddy passes Upgrade on by itself; remove from the site what deletes it:",
                "    request_header -Upgrade",
                "    request_header -Connection",
                "    header_up -Upgrade",
                "    header_up -Connection",
            ]),
            Wrong::Query => {
                own(["Caddy, in the site: no `rewrite` with an own query on this path:", &passing])
            }
            Wrong::Path => own([
                "Caddy, in the site: the worker's own path is /ws:",
                &format!("handle {path} {{"),
                "    rewrite * /ws?{query}",
                &format!("    reverse_proxy {upstream}"),
                "}",
            ]),
            Wrong::InternalPort => {
                own(["Caddy, in the site: the port is ws_port, not internal_port:", &passing])
            }
            Wrong::NotPassed => own([
                "Caddy, in the site of this name, then caddy reload:",
                &format!("@worker path {path} {}", self.script()),
                &format!("reverse_proxy @worker {upstream}"),
            ]),
            Wrong::NoWorker => own([
                "start the worker; if it runs, Caddy looks for it in the wrong place (its log says where):",
                &passing,
            ]),
            Wrong::IdleCut => own([
                "Caddy: remove from the reverse_proxy of the worker, or raise, what ends its streams:",
                "    stream_timeout",
                "    stream_close_delay",
                "and from the global options: servers { timeouts { idle } }",
            ]),
            Wrong::Buffering => {
                own([&format!("Caddy, in reverse_proxy {path}:"), "    flush_interval -1"])
            }
            Wrong::Exposed => own([
                "Caddy: pass only the worker's two paths on:",
                &format!("@worker path {path} {}", self.script()),
                &format!("reverse_proxy @worker {upstream}"),
            ]),
            Wrong::Script => own([
                "Caddy, in the site:",
                &format!("@worker path {path} {}", self.script()),
                &format!("reverse_proxy @worker {upstream}"),
            ]),
            Wrong::Origin => return None,
        })
    }

    fn cloudflare(&self, wrong: Wrong) -> Option<Vec<String>> {
        let behind = "and look at the proxy behind Cloudflare: run the doctor there, with --url and the proxy's own address";
        Some(match wrong {
            Wrong::Upgrade => own(["Cloudflare: Network, WebSockets: on;", behind]),
            Wrong::IdleCut => own([
                "Cloudflare cuts after 100 s of silence; set ping_interval of the worker below that;",
                behind,
            ]),
            Wrong::Origin => return None,
            _ => own([behind]),
        })
    }

    /// For a proxy that is not known.
    fn any(&self, wrong: Wrong) -> Vec<String> {
        let Self { path, upstream, idle_secs, .. } = self;
        let script = self.script();
        own([&match wrong {
            Wrong::Upgrade => "let the proxy speak HTTP/1.1 to the worker and pass the headers Upgrade and Connection on".to_owned(),
            Wrong::Query => "let the proxy pass the query (?topic=...) on as it is".to_owned(),
            Wrong::Path => format!("let the proxy pass {path} on as /ws, which is the worker's own path"),
            Wrong::InternalPort => format!("let the proxy pass {path} on to {upstream}: the port is ws_port, not internal_port"),
            Wrong::NotPassed => format!("let the proxy pass {path} on to http://{upstream}/ws, before the site's own rules"),
            Wrong::NoWorker => format!("start the worker; if it runs, let the proxy look for it at {upstream}"),
            Wrong::IdleCut => format!("let the proxy keep a WebSocket through {idle_secs} s of silence; or set ping_interval of the worker lower"),
            Wrong::Buffering => format!("switch buffering and compression off for {path} in the proxy"),
            Wrong::Exposed => format!("let the proxy pass only {path} and {script} on"),
            Wrong::Script => format!("let the proxy pass {script} on to http://{upstream}/client.js"),
            Wrong::Origin => "the worker takes every origin: remove the rule that compares Origin from the proxy or firewall".to_owned(),
        }])
    }
}

/// Where the script is, beside the socket at `path`.
pub fn script_path(path: &str) -> String {
    format!("{}/client.js", path.strip_suffix("/ws").unwrap_or_default())
}

fn own<const COUNT: usize>(lines: [&str; COUNT]) -> Vec<String> {
    lines.map(str::to_owned).into()
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    fn recognised(headers: &[(&'static str, &'static str)], body: &str) -> Option<Proxy> {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        Proxy::recognise(&headers.collect(), body)
    }

    #[test]
    fn proxies_are_recognised_by_what_they_write() {
        for (headers, body, proxy) in [
            (&[("server", "nginx/1.22.1")][..], "", Some(Proxy::Nginx)),
            (&[("server", "openresty")], "", Some(Proxy::Nginx)),
            (&[("server", "Apache/2.4.62 (Debian)")], "", Some(Proxy::Apache)),
            (&[("via", "1.1 Caddy")], "", Some(Proxy::Caddy)),
            (&[("server", "cloudflare"), ("via", "1.1 Caddy")], "", Some(Proxy::Cloudflare)),
            (
                &[],
                "<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>",
                Some(Proxy::Haproxy),
            ),
            (&[], "<hr><center>nginx</center>", Some(Proxy::Nginx)),
            (&[("server", "gws")], "404 page not found\n", None),
        ] {
            assert_eq!(recognised(headers, body), proxy, "{headers:?} {body}");
        }
    }

    #[test]
    fn every_fault_has_lines_for_every_proxy() {
        let known = [Proxy::Nginx, Proxy::Apache, Proxy::Haproxy, Proxy::Caddy, Proxy::Cloudflare];
        for proxy in known.map(Some).into_iter().chain([None, Some(Proxy::Iis)]) {
            let place = Place {
                proxy,
                path: "/worker/ws".to_owned(),
                upstream: "10.0.0.7:9000".to_owned(),
                idle_secs: 75,
            };
            for wrong in [
                Wrong::Upgrade,
                Wrong::Query,
                Wrong::Path,
                Wrong::NotPassed,
                Wrong::InternalPort,
                Wrong::NoWorker,
                Wrong::IdleCut,
                Wrong::Buffering,
                Wrong::Exposed,
                Wrong::Script,
                Wrong::Origin,
            ] {
                let lines = place.lines(wrong);

                assert!(!lines.is_empty(), "{proxy:?} {wrong:?}");
                assert!(lines.iter().all(|line| !line.contains('\n')), "{proxy:?} {wrong:?}");
            }
        }
    }

    #[test]
    fn the_script_lies_beside_the_socket() {
        assert_eq!(script_path("/ws"), "/client.js");
        assert_eq!(script_path("/worker/ws"), "/worker/client.js");
    }
}
