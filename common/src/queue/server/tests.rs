//! Addresses and credentials that are accepted and refused.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use super::*;

fn settings(url: &str) -> ServerSettings {
    ServerSettings {
        url: url.to_owned(),
        ..ServerSettings::default()
    }
}

#[test]
fn an_address_is_shown_without_its_password() {
    for (url, shown) in [
        ("redis://user:s3cret@host:7000/2", "redis://host:7000/2"),
        ("redis://:s3cret@host", "redis://host:6379/0"),
        ("rediss://:s3cret@host:1", "rediss://host:1/0"),
        (
            "unix:///run/redis.sock?user=u&pass=s3cret",
            "unix:///run/redis.sock",
        ),
    ] {
        assert_eq!(Server::parse(url).unwrap().as_str(), shown);
    }
}

#[test]
fn an_address_that_makes_no_sense_is_refused_without_quoting_it() {
    for url in [
        "",
        "host:6379",
        "http://u:s3cret@host",
        "redis://:s3cret@host/x",
        "redis://:s3cret@host:port",
    ] {
        let message = Server::parse(url).err().unwrap().to_string();
        assert!(
            message.starts_with("not the address of a Redis: ") && !message.contains("s3cret"),
            "{message}"
        );
    }
}

#[test]
fn a_password_is_the_first_line_of_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    std::fs::write(&file, "s3cret\n").unwrap();
    let settings = ServerSettings {
        user: Some("ddrs".into()),
        password_file: Some(file),
        ..settings("redis://host")
    };
    let server = Server::new(&settings).unwrap();
    let login = server.info.redis_settings();
    assert_eq!(
        (login.username(), login.password()),
        (Some("ddrs"), Some("s3cret"))
    );
    assert!(!format!("{settings:?}").contains("s3cret"));
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let missing = |path: &str| Some(PathBuf::from(path));
    let dir = tempfile::tempdir().unwrap();
    let cert = dir.path().join("cert.pem");
    let key = dir.path().join("key.pem");
    std::fs::write(&cert, "-----BEGIN CERTIFICATE-----\n").unwrap();
    std::fs::write(&key, "-----BEGIN EC PRIVATE KEY-----\r\n").unwrap();
    let pair = |cert: &PathBuf, key: &PathBuf| ServerSettings {
        cert: Some(cert.clone()),
        key: Some(key.clone()),
        ..settings("rediss://h")
    };
    for (settings, says) in [
        (
            ServerSettings {
                password_file: missing("/no/password"),
                ..settings("redis://h")
            },
            "/no/password",
        ),
        (
            ServerSettings {
                ca: missing("/no/ca.pem"),
                ..settings("rediss://h")
            },
            "/no/ca.pem",
        ),
        (
            ServerSettings {
                cert: missing("/no/cert.pem"),
                ..settings("rediss://h")
            },
            "its key go together",
        ),
        (
            ServerSettings {
                ca: missing("/dev/null"),
                ..settings("redis://h")
            },
            "for a rediss:// address",
        ),
        (
            ServerSettings {
                ca: missing("/dev/null"),
                ..settings("rediss://h")
            },
            "/dev/null: holds no certificate",
        ),
        (pair(&key, &key), "key.pem: holds no certificate"),
        (pair(&cert, &cert), "cert.pem: holds no private key"),
    ] {
        let message = Server::new(&settings).err().unwrap().to_string();
        assert!(message.contains(says), "{message}");
    }
}
