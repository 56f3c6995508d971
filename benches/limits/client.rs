//! A load generator that costs little: one connection, one request at a time, bodies by
//! `Content-Length`.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

pub struct Client(BufReader<TcpStream>);

impl Client {
    pub async fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    /// Posts JSON and returns the body of a 200.
    pub async fn post(&mut self, path: &str, body: &str) -> String {
        self.ask(format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await
    }

    /// Gets with a bearer token and returns the body of a 200.
    pub async fn get(&mut self, path: &str, bearer: &str) -> String {
        self.ask(format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer}\r\n\r\n"
        ))
        .await
    }

    async fn ask(&mut self, request: String) -> String {
        self.0.write_all(request.as_bytes()).await.unwrap();
        let (mut line, mut length, mut status) = (String::new(), 0, String::new());
        loop {
            line.clear();
            self.0.read_line(&mut line).await.unwrap();
            if status.is_empty() {
                status.clone_from(&line);
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut text = vec![0; length];
        self.0.read_exact(&mut text).await.unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(status.starts_with("HTTP/1.1 200"), "{status}{text}");
        text
    }
}

/// A member of flat JSON.
pub fn member(text: &str, name: &str) -> String {
    let start = text
        .find(&format!("\"{name}\":\""))
        .unwrap_or_else(|| panic!("no {name} in {text}"))
        + name.len()
        + 4;
    text[start..].split('"').next().unwrap().to_owned()
}
