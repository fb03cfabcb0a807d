//! Serves a model folder as `org/name`, for tools that read `HF_ENDPOINT`.
//!
//! ```text
//! cargo run --package hub-stand-in --example serve -- models/emotion
//! ```

use std::path::Path;

use hub_stand_in::HubStandIn;

fn main() {
    let folder = std::env::args().nth(1).expect("a model folder");
    let hub = HubStandIn::start();
    let commit = hub.publish_folder("org/name", Path::new(&folder));
    println!("HF_ENDPOINT={} serves org/name at {commit}; Enter ends it", hub.endpoint());
    std::io::stdin().read_line(&mut String::new()).expect("standard input");
    for request in hub.take_requests() {
        println!("{} {} {:?}", request.method, request.path, request.range);
    }
}
