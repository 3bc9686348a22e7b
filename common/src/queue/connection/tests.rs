//! Connections that stop answering.

#![allow(clippy::unwrap_used)]
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;

use super::*;

/// Answers everything but the first PING, and never closes a connection.
fn fall_silent_once(listener: &UnixListener) {
    let mut open = Vec::new();
    for number in 0..2 {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 4096];
        loop {
            let length = stream.read(&mut buffer).unwrap();
            let asked = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if asked.contains("PING") {
                if number == 1 {
                    stream.write_all(b"+PONG\r\n").unwrap();
                }
                break;
            }
            // What the client says first: its name and version, a command each.
            stream
                .write_all("+OK\r\n".repeat(asked.matches('*').count()).as_bytes())
                .unwrap();
        }
        open.push(stream);
    }
}

#[tokio::test]
async fn a_connection_that_falls_silent_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    let listener = UnixListener::bind(&socket).unwrap();
    let server = std::thread::spawn(move || fall_silent_once(&listener));
    let mut connection =
        Connection::to(Server::parse(&format!("unix://{}", socket.display())).unwrap()).unwrap();
    connection.response_timeout = Duration::from_millis(50);
    let ping = redis::cmd("PING");
    let answer: String = connection
        .send(&RedisRequest::Command(&ping), "", Duration::from_secs(10))
        .await
        .unwrap();
    assert_eq!(answer, "PONG");
    assert_eq!(connection.routing().link(None).unwrap().number, 2);
    server.join().unwrap();
}

/// Lets the first connection wait for the answer to its greeting, and answers all until a PING
/// on the second.
fn greet_the_second(listener: &UnixListener) {
    let (_first, _) = listener.accept().unwrap();
    let (mut second, _) = listener.accept().unwrap();
    let mut buffer = [0; 4096];
    let mut asked = String::new();
    while !asked.contains("PING") {
        let length = second.read(&mut buffer).unwrap();
        asked = String::from_utf8_lossy(&buffer[..length]).into_owned();
        second
            .write_all("+OK\r\n".repeat(asked.matches('*').count()).as_bytes())
            .unwrap();
    }
}

#[tokio::test]
async fn a_request_that_is_left_unattended_keeps_no_other_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    let listener = UnixListener::bind(&socket).unwrap();
    let server = std::thread::spawn(move || greet_the_second(&listener));
    let connection =
        Connection::to(Server::parse(&format!("unix://{}", socket.display())).unwrap()).unwrap();
    let ping = redis::cmd("PING");
    let request = RedisRequest::Command(&ping);
    let mut unattended = std::pin::pin!(connection.attempt::<String>(&request, ""));
    tokio::time::timeout(Duration::ZERO, &mut unattended)
        .await
        .unwrap_err();
    let other = connection.attempt::<String>(&request, "");
    assert_eq!(
        tokio::time::timeout(Duration::from_secs(30), other)
            .await
            .unwrap()
            .unwrap(),
        "OK"
    );
    server.join().unwrap();
}
