//! What the engine makes of the answers of a registry.

use std::io::{Read as _, Write as _};

use super::*;

/// A registry that answers all but its root with this status and body.
fn registry(status: &'static str, body: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let count = stream.read(&mut request).unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..count]).into_owned();
            let root = request.starts_with("GET /v2/ ");
            let (status, body) = if root { ("200 OK", "{}") } else { (status, body) };
            let sent = if request.starts_with("HEAD ") { "" } else { body };
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{sent}",
                body.len()
            );
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an engine"]
async fn what_a_registry_answers_is_told_with_its_address() {
    let here = here::connect(&this_machine(), None).unwrap();
    for (answer, body, status, says) in [
        ("500 Internal Server Error", "{}", 500, "received unexpected HTTP status: 500 Internal Server Error"),
        ("401 Unauthorized", r#"{"errors":[{"code":"UNAUTHORIZED","message":"no"}]}"#, 401, "unauthorized"),
        ("403 Forbidden", r#"{"errors":[{"code":"DENIED","message":"no"}]}"#, 403, "denied"),
        ("404 Not Found", r#"{"errors":[{"code":"NAME_UNKNOWN","message":"no"}]}"#, 404, "name unknown"),
        ("404 Not Found", r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no"}]}"#, 404, "manifest unknown"),
    ] {
        let address = format!("127.0.0.1:{}", registry(answer, body));
        let told = cause(here.registry_digest(&format!("{address}/kolla/base:1"), None).await);
        match &told {
            HostCause::Registry { registry, status: found, message } => {
                assert_eq!((registry, *found), (&address, status), "{told}");
                assert!(message.contains(says), "{told}");
            }
            other => panic!("{other:?}"),
        }
        assert!(told.to_string().starts_with(&format!("registry {address} ")), "{told}");
        assert!(told.hint().is_some());
    }
    // Nobody listens.
    let told = cause(here.registry_digest("127.0.0.1:1/kolla/base:1", None).await);
    assert!(matches!(&told, HostCause::Registry { status: 500, .. }), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_cannot_ask_a_registry_says_nothing_of_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("podman.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let head = "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nConnection: close\r\n";
            let _ = write!(stream, "{head}Content-Length: 10\r\n\r\nNot Found\n");
        }
    });
    let here =
        here::connect(&HostSpec { engine_socket: socket.to_str().unwrap().into(), ..this_machine() }, None).unwrap();
    let told = cause(here.registry_digest("reg.example:4000/kolla/base:1", None).await);
    // 404 would be: it does not have the image.
    assert!(matches!(&told, HostCause::Registry { status: 405, .. }), "{told:?}");
    assert!(told.hint().unwrap().contains("docker_registry_insecure"), "{told:?}");
}
