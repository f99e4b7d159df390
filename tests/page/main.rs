//! The status page, opened in headless Chromium.

mod sample;
