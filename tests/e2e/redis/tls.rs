//! Tests TLS with a private authority and with certificates of both server and client.

use std::path::Path;

use ddrs_tests::{TestDir, run_to_end};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};

use super::server::{TestServer, assert_undisturbed, coordinator, run, small};

type Authority = CertifiedIssuer<'static, KeyPair>;

/// Creates an authority whose certificate is `NAME.pem`.
fn authority(dir: &TestDir, name: &str) -> Authority {
    let mut params = CertificateParams::default();
    // Each authority needs a separate name. A certificate with the name of its issuer would count
    // as self-signed.
    params
        .distinguished_name
        .push(DnType::CommonName, format!("authority {name}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    dir.write(&format!("{name}.pem"), authority.pem());
    authority
}

/// Writes a certificate for a host, `NAME.pem`, and its key, `NAME.key`.
fn certificate(dir: &TestDir, authority: &Authority, name: &str, host: &str, expired: bool) {
    let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    if expired {
        (params.not_before, params.not_after) =
            (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    }
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    dir.write(&format!("{name}.pem"), certificate.pem());
    dir.write(&format!("{name}.key"), key.serialize_pem());
}

/// Creates an authority `ca` and a certificate `client`. Starts a server whose certificate names
/// `host` and that requires client certificates.
fn start(dir: &TestDir, host: &str, expired: bool) -> TestServer {
    let ca = authority(dir, "ca");
    certificate(dir, &ca, "server", host, expired);
    certificate(dir, &ca, "client", "client", false);
    let path = |name: &str| dir.path(name).display().to_string();
    let options = [
        "--tls-cert-file",
        &path("server.pem"),
        "--tls-key-file",
        &path("server.key"),
        "--tls-ca-cert-file",
        &path("ca.pem"),
        "--tls-auth-clients",
        "yes",
    ];
    TestServer::start_tls(&dir.path("server"), &options)
}

fn environment<'a>(url: &'a str, ca: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("DDRS_REDIS", url),
        ("DDRS_REDIS_CA", ca),
        ("DDRS_REDIS_CERT", "client.pem"),
        ("DDRS_REDIS_KEY", "client.key"),
    ]
}

/// Runs `status`, which must fail, and returns its error message.
fn refused(dir: &TestDir, environment: &[(&str, &str)]) -> String {
    let ended = coordinator(dir, &["status"], environment);
    assert!([1, 2].contains(&ended.code), "{ended:?}");
    ended.stderr
}

#[test]
fn a_sweep_runs_over_tls_with_certificates_on_both_sides() {
    let dir = small();
    let server = start(&dir, "127.0.0.1", false);
    let url = format!("rediss://127.0.0.1:{}", server.port);
    let _ = run_to_end(&mut run(&dir, "tls", &environment(&url, "ca.pem"))).expect(0);
    assert_undisturbed(&dir, "tls");
    let arguments = [
        "--redis",
        &url,
        "--redis-ca",
        "ca.pem",
        "--redis-cert",
        "client.pem",
        "--redis-key",
        "client.key",
    ];
    let _ = coordinator(&dir, &[&["doctor"][..], &arguments].concat(), &[]).expect(0);
    let worker = [
        &["run", "--exit-when-idle", "--device", "cpu"][..],
        &arguments,
    ]
    .concat();
    let _ = run_to_end(dir.worker().args(worker)).expect(0);
}

#[test]
fn a_connection_with_wrong_certificates_is_refused_with_the_reason() {
    let dir = small();
    let server = start(&dir, "127.0.0.1", false);
    let url = format!("rediss://127.0.0.1:{}", server.port);
    let _ = authority(&dir, "other");
    let unknown = refused(&dir, &environment(&url, "other.pem"));
    assert!(
        unknown.contains("UnknownIssuer") || unknown.contains("BadSignature"),
        "{unknown}"
    );
    let without = refused(&dir, &environment(&url, "ca.pem")[..2]);
    assert!(without.to_lowercase().contains("certificate"), "{without}");
    let plain = refused(&dir, &[("DDRS_REDIS", &server.url())]);
    assert!(
        plain.contains("127.0.0.1") && plain.contains("rediss:// instead of redis://"),
        "{plain}"
    );
    let empty = refused(&dir, &environment(&url, "/dev/null"));
    assert!(empty.contains("/dev/null: holds no certificate"), "{empty}");
    let missing = refused(&dir, &environment(&url, "nowhere.pem"));
    assert!(missing.contains("nowhere.pem"), "{missing}");
    assert!(!Path::new(&dir.path("out")).exists());
}

#[test]
fn a_port_without_tls_is_distinguished_from_a_closed_port() {
    let dir = small();
    let server = TestServer::start(&dir.path("server"), &[]);
    let _ = authority(&dir, "ca");
    let refusal = |port: u16| {
        let url = format!("rediss://127.0.0.1:{port}");
        refused(&dir, &[("DDRS_REDIS", &url), ("DDRS_REDIS_CA", "ca.pem")])
    };
    let plain = refusal(server.port);
    assert!(plain.contains("redis:// instead of rediss://"), "{plain}");
    let closed = refusal(super::server::free_port());
    assert!(!closed.contains("instead of"), "{closed}");
}

#[test]
fn a_server_with_another_name_or_an_expired_certificate_is_refused() {
    for (host, expired, word) in [
        ("other.example", false, "name"),
        ("127.0.0.1", true, "expired"),
    ] {
        let dir = small();
        let server = start(&dir, host, expired);
        let url = format!("rediss://127.0.0.1:{}", server.port);
        let reason = refused(&dir, &environment(&url, "ca.pem")).to_lowercase();
        assert!(reason.contains(word), "{reason}");
    }
}
