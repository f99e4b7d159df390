//! The rules of the house, checked by reading the files.

mod commands;
mod dependencies;
mod deployment;
mod documents;
mod history;
mod sources;
mod tree;
