//! Clients that send invalid requests, one after another.

use std::{
    io::{BufReader, Write},
    net::{Shutdown, SocketAddr},
    thread,
    time::Duration,
};

use crate::{
    case::{Case, End},
    client::{Response, connect, is_timeout, now},
    tally::Tally,
};

/// Sends all cases at least once, beginning with the case `first`, and again while `running`
/// returns `true`.
pub(crate) fn work(
    address: SocketAddr,
    cases: &[Case],
    first: usize,
    running: &(dyn Fn() -> bool + Sync),
) -> Tally {
    let mut tally = Tally::default();
    for (index, case) in cases.iter().cycle().skip(first).enumerate() {
        if index >= cases.len() && !running() {
            break;
        }
        send(address, case, &mut tally);
        // Leave some processor time to the other clients.
        thread::sleep(Duration::from_millis(5));
    }
    tally
}

/// Sends a case, and checks the responses.
pub(crate) fn send(address: SocketAddr, case: &Case, tally: &mut Tally) {
    let start = now();
    let mut stream = connect(address);
    // If the server rejects a request before its end, it closes the connection and the write fails.
    let _ = stream.write_all(&case.bytes);
    let allowed = match case.end {
        End::Closes => {
            tally.add(case.what, 0, start.elapsed());
            return;
        }
        End::HalfCloses(allowed) => {
            drop(stream.shutdown(Shutdown::Write));
            allowed
        }
        End::Reads(allowed) => allowed,
    };
    let mut reader = BufReader::new(stream);
    let mut responses = 0;
    loop {
        match Response::read_next(&mut reader) {
            Ok(Some(response)) => {
                let status = response.status;
                // A stalled disk or Redis makes the store unavailable.
                let expected = allowed.contains(&status) || status == 503;
                assert!(expected, "{}: {response:?}", case.what);
                tally.add(case.what, status, start.elapsed());
                responses += 1;
            }
            Ok(None) => break,
            // If the server closes a connection with unread data, the client may lose the end of
            // the response.
            Err(error) => {
                assert!(!is_timeout(error.kind()), "{}: still open", case.what);
                break;
            }
        }
    }
    if responses == 0 {
        tally.add(case.what, 0, start.elapsed());
    }
}
