#![no_main]

#[path = "main.rs"]
mod main;

main::fuzz!("delimited");
