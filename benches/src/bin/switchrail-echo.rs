//! The floor under any HTTP server built as the gateway is: reads a request's body into one buffer and answers a fixed
//! JSON text.

use std::convert::Infallible;
use std::error::Error;
use std::io::Write;

use bytes::Bytes;
use clap::Parser;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};

/// Answers every request with the same JSON text.
#[derive(Parser)]
struct Arguments {
    /// The size of the answer's body.
    #[arg(long)]
    body_bytes: usize,
    /// Threads that read and write requests.
    #[arg(long)]
    threads: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(arguments.threads).enable_all().build()?;
    runtime.block_on(serve(body(arguments.body_bytes)))
}

/// A JSON text of this size.
fn body(n_bytes: usize) -> Bytes {
    Bytes::from(format!("\"{}\"", "x".repeat(n_bytes.saturating_sub(2))))
}

async fn serve(body: Bytes) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, r#"{{"http":"{}"}}"#, listener.local_addr()?)?;
    stdout.flush()?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(connection(stream, body.clone()));
    }
}

async fn connection(stream: TcpStream, body: Bytes) {
    let service = service_fn(move |request| answer(request, body.clone()));
    let builder = auto::Builder::new(TokioExecutor::new());
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        eprintln!("a connection ended: {error}");
    }
}

async fn answer(request: Request<Incoming>, body: Bytes) -> Result<Response<Full<Bytes>>, Infallible> {
    match request.into_body().collect().await {
        Ok(collected) => drop(std::hint::black_box(collected.to_bytes())),
        Err(error) => eprintln!("a body ended: {error}"),
    }
    let mut response = Response::new(Full::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
