//! How a node lives: started, told to reload, replaced and stopped by real tools, under load.

mod certificates;
mod codes;
mod collector;
mod drain;
mod load;
mod log_level;
mod managed;
mod manager;
mod metrics;
mod notify;
mod reload;
mod sockets;
mod swift_init;
mod told;
mod trace;
