//! Tests the proxy with a server that echoes every request and reports the requests it received.
#![allow(clippy::unwrap_used)]

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use super::*;

const SCRIPT: &str = "*2\r\n$7\r\nEVALSHA\r\n$1\r\nx\r\n";

struct EchoServer {
    proxy: Proxy,
    arrived: Receiver<String>,
}

impl EchoServer {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, arrived) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let sender = sender.clone();
                std::thread::spawn(move || {
                    let mut buffer = [0; 4096];
                    while let Ok(length @ 1..) = stream.read(&mut buffer) {
                        sender
                            .send(String::from_utf8_lossy(&buffer[..length]).into_owned())
                            .ok();
                        if stream.write_all(&buffer[..length]).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self {
            proxy: Proxy::before(port),
            arrived,
        }
    }

    fn client(&self) -> TcpStream {
        let mut client = TcpStream::connect(self.proxy.address).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        assert_eq!(ask(&mut client, "hello").unwrap(), "hello");
        assert_eq!(self.arrived.recv().unwrap(), "hello");
        client
    }
}

fn ask(client: &mut TcpStream, request: &str) -> std::io::Result<String> {
    client.write_all(request.as_bytes())?;
    let mut answer = [0; 4096];
    let length = client.read(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}

#[test]
fn a_cut_closes_open_connections_and_does_not_affect_later_ones() {
    let echo = EchoServer::new();
    let mut client = echo.client();
    echo.proxy.cut();
    assert_eq!(client.read(&mut [0; 8]).unwrap(), 0);
    let mut later = echo.client();
    assert_eq!(ask(&mut later, "again").unwrap(), "again");
    assert_eq!(echo.proxy.counts().cut, 1);
}

#[test]
fn a_half_open_connection_drops_requests_and_is_not_closed() {
    let echo = EchoServer::new();
    let mut client = echo.client();
    echo.proxy.half_open();
    client
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while echo.proxy.counts().half_open == 0 {
        assert!(
            Instant::now() < deadline,
            "the connection did not become half open"
        );
        // The fault is ordered, but the connection may not have seen the order yet. Until then
        // requests pass, and their answers may arrive after this read.
        ask(&mut client, "before").ok();
    }
    if let Ok(answer) = ask(&mut client, "dropped") {
        assert!(
            answer.starts_with("before"),
            "the connection was closed or answered: {answer:?}"
        );
    }
    let mut later = TcpStream::connect(echo.proxy.address).unwrap();
    assert_eq!(ask(&mut later, "after").unwrap(), "after");
    let passed: Vec<_> = echo
        .arrived
        .iter()
        .take_while(|request| request != "after")
        .collect();
    assert!(!passed.concat().contains("dropped"), "{passed:?}");
    assert_eq!(echo.proxy.counts().half_open, 1);
}

#[test]
fn a_reset_request_has_arrived_and_is_not_answered() {
    let echo = EchoServer::new();
    let mut client = echo.client();
    echo.proxy.reset_next_answer(true);
    assert_eq!(ask(&mut client, "no script").unwrap(), "no script");
    assert_eq!(echo.arrived.recv().unwrap(), "no script");
    assert_eq!(
        ask(&mut client, SCRIPT).unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    assert_eq!(echo.arrived.recv().unwrap(), SCRIPT);
    assert_eq!(echo.proxy.counts().reset, [SCRIPT]);
    assert_eq!(
        ask(&mut echo.client(), SCRIPT).unwrap(),
        SCRIPT,
        "one order must reset one answer"
    );
}

#[test]
fn late_answers_are_delayed() {
    let echo = EchoServer::new();
    let mut client = echo.client();
    echo.proxy
        .fault(NetworkFault::Late(Duration::from_millis(30)));
    let start = Instant::now();
    assert_eq!(ask(&mut client, "slow").unwrap(), "slow");
    assert!(start.elapsed() >= Duration::from_millis(30));
    assert_eq!(echo.proxy.counts().late, 1);
}

#[test]
fn frozen_data_arrives_when_the_fault_ends() {
    let echo = EchoServer::new();
    let mut client = echo.client();
    echo.proxy.fault(NetworkFault::Frozen);
    client.write_all(b"held").unwrap();
    while echo.proxy.counts().frozen == 0 {
        std::thread::yield_now();
    }
    assert!(echo.arrived.try_recv().is_err());
    echo.proxy.fault(NetworkFault::Clear);
    assert_eq!(echo.arrived.recv().unwrap(), "held");
    let mut answer = [0; 4];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"held");
}
