//! What documents say can be done as it is written: every command of every document is executed, here or by a test that is named
//! here, or it is said why it cannot be; and what they quote of refusals is what the code says.

mod accounts;
mod commands;
mod given;
mod quotes;
mod readme;
mod scene;
